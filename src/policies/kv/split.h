#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace reprise {

// How many candidate entries each layer known so far may keep. `preference` holds one value >= 0 a
// layer (P_l), `n_total` the candidates to hand out over all n_layer layers of the model, `cap` the
// candidates a layer has. Values that are not finite, negative or all zero give the uniform split.
// No layer gets more than it has.
struct SplitInput {
  std::span<const double> preference;
  int64_t n_total = 0;
  int32_t cap = 0;
  int32_t n_layer = 0;  // eligible layers of the model, known or not
  // [n_layer] instead of `cap` where layers have different numbers, as behind earlier turns.
  std::span<const int32_t> caps = {};

  int32_t cap_of(size_t l) const { return caps.empty() ? cap : caps[l]; }
  // Of the first n layers together.
  int64_t n_candidates(size_t n) const;
};

// Whether the values cannot say who gets more: one is negative or not finite, or all are zero.
bool is_unusable(std::span<const double> preference);

// Finds the level at which the layers fill up: sum of min(cap_l, level * P_l) = min(n_total, sum of
// cap_l), rounded by Webster's rule: unit b + 1 of a layer ranks by P_l / (b + 1/2), and the
// n_total best units are given. A layer that joins can only displace units, so nobody's share ever
// rises and a cascade drops exactly what one eviction at the end would (largest fractions would let
// shares rise by one). Source: our replacement of CAKE's integer rule.
std::vector<int32_t> split_waterfill(const SplitInput& in);

// CAKE's own integer rule: truncate, clip, spread the clipped excess evenly, correct the sum, all
// once. Strands up to 9 % of the budget near S ~ C and is not monotone; kept for parity. Source:
// arXiv 2503.12491, code.
std::vector<int32_t> split_official(const SplitInput& in);

// The same number for every layer of the model, whatever the preference (SnapKV, StreamingLLM, H2O,
// TOVA).
std::vector<int32_t> split_uniform(const SplitInput& in);

// Falls linearly from the first layer to the last, which gets 1/beta of the mean. Source:
// PyramidKV, arXiv 2406.02069.
std::vector<int32_t> split_pyramid(const SplitInput& in, double beta);

}  // namespace reprise
