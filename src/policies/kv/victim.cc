#include "policies/kv/victim.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>

#include "core/error.h"
#include "policies/kv/pooling.h"

namespace reprise {
namespace {

constexpr float kEmaDecay = 0.98F;

float group_mean(const DecodeView& view, int32_t slot) {
  double sum = 0;
  for (int32_t h = 0; h < view.n_group; ++h) {
    sum += view.attention[static_cast<size_t>(h) * view.n_slots + slot];
  }
  return static_cast<float>(sum / view.n_group);
}

// Leaves in `victims` the indices of the lowest scores, lowest first. A heap of the lowest so far,
// its top the best of them, needs no memory beside the result.
void lowest(std::span<const float> scores, std::span<int32_t> victims) {
  const auto is_lower = [&](int32_t a, int32_t b) {
    return scores[a] < scores[b] || (scores[a] == scores[b] && a < b);
  };
  const auto n_candidates = static_cast<int32_t>(scores.size());
  const auto n_victims = static_cast<int32_t>(victims.size());
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

void add_attention(const DecodeView& view, std::span<float> sums) {
  assert(view.attention.size() == static_cast<size_t>(view.n_slots) * view.n_group);
  assert(sums.size() == static_cast<size_t>(view.n_slots));
  for (int32_t slot = 0; slot < view.n_slots; ++slot) {
    sums[slot] = kEmaDecay * sums[slot] + group_mean(view, slot);
  }
}

void choose_victims(KvDecode mode, const DecodeView& view, std::span<const float> sums,
                    std::span<float> scratch, std::span<int32_t> victims) {
  const size_t n = view.candidates.size();
  assert(mode != KvDecode::kGrow && scratch.size() >= victim_scratch(n) && victims.size() <= n);
  assert(view.attention.size() == static_cast<size_t>(view.n_slots) * view.n_group);
  assert(mode != KvDecode::kEma || sums.size() == static_cast<size_t>(view.n_slots));
  if (victims.empty()) return;

  const std::span<float> raw = scratch.first(n);
  std::span<float> scores = raw;
  for (size_t i = 0; i < n; ++i) {
    const int32_t slot = view.candidates[i];
    raw[i] = mode == KvDecode::kEma ? sums[slot] : group_mean(view, slot);
    if (std::isnan(raw[i])) {
      throw Error(fmt::format(
          "attention to KV slot {} of {} is not a number; the model file or its inputs are broken",
          slot, view.n_slots));
    }
  }
  if (mode == KvDecode::kCake || mode == KvDecode::kCakeOfficial) {
    scores = scratch.subspan(n, n);
    pool_average([&](size_t i) { return raw[i]; }, kDecodePool, scores);
  }
  lowest(scores, victims);
  for (int32_t& victim : victims) victim = view.candidates[victim];
}

}  // namespace reprise
