#include "policies/kv/victim.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>

#include "core/error.h"

namespace reprise {
namespace {

constexpr float kEmaDecay = 0.98F;

// Every loop here takes values side by side, so that a step of decoding hardly notices it.
constexpr size_t kLanes = 64;

// Mean over the group's heads of each slot's attention, [n_slots].
void group_means(const DecodeView& view, std::span<float> means) {
  const auto n_slots = static_cast<size_t>(view.n_slots);
  const float weight = 1.0F / static_cast<float>(view.n_group);
  std::array<float, kLanes> sums;
  for (size_t at = 0; at < n_slots; at += kLanes) {
    const size_t n = std::min(kLanes, n_slots - at);
    sums.fill(0);
    for (int32_t h = 0; h < view.n_group; ++h) {
      const float* row = view.attention.data() + h * n_slots + at;
      for (size_t i = 0; i < n; ++i) sums[i] += row[i];
    }
    for (size_t i = 0; i < n; ++i) means[at + i] = weight * sums[i];
  }
}

// out[n] = sum of values[n + u] over |u| <= kDecodePool / 2, terms beyond the ends counting as 0:
// the average over neighbours (pooling.h) in F32 and without the division.
void neighbour_sums(std::span<const float> values, std::span<float> out) {
  constexpr size_t kHalf = kDecodePool / 2;
  const size_t n_values = values.size();
  const auto sum_at = [&](size_t n) {
    float sum = 0;
    for (size_t i = n - std::min(n, kHalf); i < std::min(n + kHalf + 1, n_values); ++i)
      sum += values[i];
    out[n] = sum;
  };
  size_t n = 0;
  for (; n < std::min(kHalf, n_values); ++n) sum_at(n);
  std::array<float, kLanes> sums;
  while (n + kHalf < n_values) {
    const size_t n_lanes = std::min(kLanes, n_values - kHalf - n);
    sums.fill(0);
    for (size_t u = 0; u < kDecodePool; ++u) {
      const float* from = values.data() + n - kHalf + u;
      for (size_t i = 0; i < n_lanes; ++i) sums[i] += from[i];
    }
    std::copy_n(sums.data(), n_lanes, out.data() + n);
    n += n_lanes;
  }
  for (; n < n_values; ++n) sum_at(n);
}

// The first index whose value fits, or values.size().
template <typename Fits>
size_t first_index(std::span<const float> values, const Fits& fits) {
  for (size_t at = 0; at < values.size(); at += kLanes) {
    const size_t end = std::min(at + kLanes, values.size());
    int any = 0;
    for (size_t i = at; i < end; ++i) any |= fits(values[i]) ? 1 : 0;
    if (any == 0) continue;
    while (!fits(values[at])) ++at;
    return at;
  }
  return values.size();
}

// The first of the lowest scores, of which none is NaN.
size_t i_lowest(std::span<const float> scores) {
  std::array<float, kLanes> least;
  least.fill(scores.front());
  size_t at = 0;
  for (; at + kLanes <= scores.size(); at += kLanes) {
    const float* lane = scores.data() + at;
    for (size_t i = 0; i < kLanes; ++i) least[i] = lane[i] < least[i] ? lane[i] : least[i];
  }
  for (; at < scores.size(); ++at) least[0] = std::min(least[0], scores[at]);
  const float least_score = *std::ranges::min_element(least);
  return first_index(scores, [&](float score) { return score == least_score; });
}

// Leaves in `victims` the indices of the lowest scores, lowest first. A heap of the lowest so far,
// its top the best of them, needs no memory beside the result.
void lowest(std::span<const float> scores, std::span<int32_t> victims) {
  const auto is_lower = [&](int32_t a, int32_t b) {
    return scores[a] < scores[b] || (scores[a] == scores[b] && a < b);
  };
  const auto n_candidates = static_cast<int32_t>(scores.size());
  const auto n_victims = static_cast<int32_t>(victims.size());
  if (n_victims == 1) {
    victims[0] = static_cast<int32_t>(i_lowest(scores));
    return;
  }
  for (int32_t i = 0; i < n_victims; ++i) victims[i] = i;
  std::make_heap(victims.begin(), victims.end(), is_lower);
  for (int32_t i = n_victims; i < n_candidates; ++i) {
    if (!is_lower(i, victims.front())) continue;
    std::pop_heap(victims.begin(), victims.end(), is_lower);
    victims.back() = i;
    std::push_heap(victims.begin(), victims.end(), is_lower);
  }
  std::sort_heap(victims.begin(), victims.end(), is_lower);
}

}  // namespace

void add_attention(const DecodeView& view, std::span<float> scratch, std::span<float> sums) {
  assert(view.attention.size() == static_cast<size_t>(view.n_slots) * view.n_group);
  assert(sums.size() == static_cast<size_t>(view.n_slots) && scratch.size() >= sums.size());
  group_means(view, scratch);
  for (size_t slot = 0; slot < sums.size(); ++slot) {
    sums[slot] = kEmaDecay * sums[slot] + scratch[slot];
  }
}

void choose_victims(KvDecode mode, const DecodeView& view, std::span<const float> sums,
                    std::span<float> scratch, std::span<int32_t> victims) {
  const size_t n = view.candidates.size();
  assert(mode != KvDecode::kGrow && victims.size() <= n);
  assert(scratch.size() >= victim_scratch(view.n_slots));
  assert(view.attention.size() == static_cast<size_t>(view.n_slots) * view.n_group);
  assert(mode != KvDecode::kEma || sums.size() == static_cast<size_t>(view.n_slots));
  if (victims.empty()) return;

  const std::span<float> raw = scratch.first(n);
  std::span<float> scores = raw;
  const float* by_slot = sums.data();
  if (mode != KvDecode::kEma) {
    const std::span<float> means = scratch.last(view.n_slots);
    group_means(view, means);
    by_slot = means.data();
  }
  for (size_t i = 0; i < n; ++i) raw[i] = by_slot[view.candidates[i]];
  const size_t i_nan = first_index(raw, [](float score) { return std::isnan(score); });
  if (i_nan < n) {
    throw Error(fmt::format(
        "attention to KV slot {} of {} is not a number; the model file or its inputs are broken",
        view.candidates[i_nan], view.n_slots));
  }
  if (mode == KvDecode::kCake || mode == KvDecode::kCakeOfficial) {
    scores = scratch.subspan(n, n);
    neighbour_sums(raw, scores);
  }
  lowest(scores, victims);
  for (int32_t& victim : victims) victim = view.candidates[victim];
}

}  // namespace reprise
