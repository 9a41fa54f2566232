#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "policies/kv/kv_policy.h"

namespace reprise {

// How a window's attention ranks the candidates.
struct Indicator {
  double gamma = 0;    // weight of the variance over the window's rows
  int32_t n_pool = 1;  // odd: width of the average over neighbouring candidates
};

// Writes scores [n_candidates, n_head_kv]: mean + gamma * variance, each averaged over its
// neighbours; neighbours beyond the ends count as 0 and the divisor stays n_pool. Source: CAKE,
// arXiv 2503.12491, with gamma = 0 SnapKV, arXiv 2404.14469. `policy` names the caller in errors.
// Throws Error when a score is not finite.
void attention_indicator(const Indicator& indicator, std::string_view policy,
                         const KvLayerView& layer, std::span<float> scores);

// CAKE's claim of a layer on the budget, P = H^(1/tau1) * V^(1/tau2); 0 when the rows are all equal
// (V = 0) or the attention has no spread (H <= 0).
double layer_preference(const WindowStats& stats, double tau1, double tau2);

// Throws Error when a score [n_candidates, n_head_kv] is not finite.
void check_scores(std::string_view policy, const KvLayerView& layer, std::span<const float> scores);

}  // namespace reprise
