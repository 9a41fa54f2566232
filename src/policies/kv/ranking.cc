#include "policies/kv/ranking.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/error.h"

namespace reprise {
namespace {

// Bits that order like the values, both zeros alike.
uint32_t ascending_bits(float value) {
  const auto bits = std::bit_cast<uint32_t>(value + 0.0F);
  return (bits >> 31) != 0 ? ~bits : bits | 0x80000000U;
}

void refuse_nan(std::span<const float> scores) {
  const auto bad = std::ranges::find_if(scores, [](float s) { return std::isnan(s); });
  if (bad == scores.end()) return;
  throw Error(fmt::format(
      "score of KV candidate {} of {} is not a number; the model file or its inputs are broken",
      bad - scores.begin(), scores.size()));
}

// Writes to `order` the indices of at least the n_keep smallest keys, ascending, and returns how
// many: all keys up to the highest that share its sign, exponent and first bits. n_keep > 0.
size_t select(std::span<const uint32_t> keys, size_t n_keep, std::span<int32_t> order) {
  constexpr int kShift = 20;
  std::array<uint32_t, (1U << (32 - kShift))> counts{};
  for (const uint32_t key : keys) ++counts[key >> kShift];
  uint32_t last = 0;
  for (size_t n = counts[0]; n < n_keep; n += counts[last]) ++last;
  size_t n = 0;
  for (size_t i = 0; i < keys.size(); ++i) {
    order[n] = static_cast<int32_t>(i);
    n += keys[i] >> kShift <= last ? 1 : 0;
  }
  return n;
}

// Sorts indices by their keys, equal keys staying as they stand: radix sort from the lowest byte.
// An even number of passes leaves the result in `order`; `scratch` has its size.
void sort_by_key(std::span<const uint32_t> keys, std::span<int32_t> order,
                 std::span<int32_t> scratch) {
  constexpr int kBytes = 4;
  std::array<std::array<uint32_t, 256>, kBytes> places{};
  for (const int32_t i : order)
    for (int b = 0; b < kBytes; ++b) ++places[b][keys[i] >> (8 * b) & 0xFFU];
  for (int b = 0; b < kBytes; ++b) {
    uint32_t n = 0;
    for (uint32_t& place : places[b]) n += std::exchange(place, n);
    for (const int32_t i : order) scratch[places[b][keys[i] >> (8 * b) & 0xFFU]++] = i;
    std::swap(order, scratch);
  }
}

}  // namespace

void rank_candidates(std::span<const float> scores, int32_t n_keep, std::span<int32_t> order) {
  assert(order.size() == scores.size());
  assert(n_keep >= 0 && n_keep <= static_cast<int32_t>(scores.size()));
  refuse_nan(scores);
  if (n_keep == 0) return;
  std::vector<uint32_t> keys(scores.size());  // the best smallest
  std::ranges::transform(scores, keys.begin(), [](float s) { return ~ascending_bits(s); });
  const size_t n = select(keys, n_keep, order);
  std::vector<int32_t> scratch(n);
  sort_by_key(keys, order.first(n), scratch);
}

}  // namespace reprise
