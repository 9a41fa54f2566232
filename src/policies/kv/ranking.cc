#include "policies/kv/ranking.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <vector>

#include "core/error.h"

namespace reprise {
namespace {

// Bits that order like the values, both zeros alike.
uint32_t ascending_bits(float value) {
  const auto bits = std::bit_cast<uint32_t>(value + 0.0F);
  return (bits >> 31) != 0 ? ~bits : bits | 0x80000000U;
}

}  // namespace

void rank_candidates(std::span<const float> scores, int32_t n_keep, std::span<int32_t> order) {
  assert(order.size() == scores.size());
  assert(n_keep >= 0 && n_keep <= static_cast<int32_t>(scores.size()));
  for (size_t i = 0; i < scores.size(); ++i) {
    if (std::isnan(scores[i])) {
      throw Error(fmt::format(
          "score of KV candidate {} of {} is not a number; the model file or its inputs are broken",
          i, scores.size()));
    }
  }
  // Score and index as one number each, the best smallest: comparing those costs a third of
  // looking two scores up.
  std::vector<uint64_t> keys(scores.size());
  for (size_t i = 0; i < scores.size(); ++i)
    keys[i] = uint64_t{~ascending_bits(scores[i])} << 32 | static_cast<uint32_t>(i);
  const auto end_kept = keys.begin() + n_keep;
  if (end_kept != keys.end()) std::nth_element(keys.begin(), end_kept, keys.end());
  std::sort(keys.begin(), end_kept);
  std::ranges::transform(keys, order.begin(),
                         [](uint64_t key) { return static_cast<int32_t>(key & 0xFFFFFFFFU); });
}

}  // namespace reprise
