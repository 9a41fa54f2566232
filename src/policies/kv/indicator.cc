#include "policies/kv/indicator.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>

#include "core/error.h"
#include "policies/kv/pooling.h"

namespace reprise {

void attention_indicator(const Indicator& indicator, std::string_view policy,
                         const KvLayerView& layer, std::span<float> scores) {
  assert(layer.stats != nullptr && indicator.n_pool % 2 == 1);
  const size_t n_cand = layer.n_candidates;
  assert(scores.size() == n_cand * layer.n_head_kv);
  assert(layer.stats->mean.size() == scores.size() && layer.stats->var.size() == scores.size());
  for (int32_t g = 0; g < layer.n_head_kv; ++g) {
    const auto mean = std::span(layer.stats->mean).subspan(g * n_cand, n_cand);
    const auto var = std::span(layer.stats->var).subspan(g * n_cand, n_cand);
    pool_average([&](size_t n) { return mean[n] + indicator.gamma * var[n]; }, indicator.n_pool,
                 scores.subspan(g * n_cand, n_cand));
  }
  check_scores(policy, layer, scores);
}

double layer_preference(const WindowStats& stats, double tau1, double tau2) {
  // The epsilon inside the logarithm lets H fall just below 0.
  return std::pow(std::max(stats.entropy, 0.0), 1 / tau1) * std::pow(stats.variance, 1 / tau2);
}

void check_scores(std::string_view policy, const KvLayerView& layer,
                  std::span<const float> scores) {
  const auto bad = std::ranges::find_if(scores, [](float s) { return !std::isfinite(s); });
  if (bad == scores.end()) return;
  const auto i = bad - scores.begin();
  throw Error(
      fmt::format("{}: layer {}, KV head {}, entry {}: the score is {}; the model file or its "
                  "inputs are broken",
                  policy, layer.il, i / layer.n_candidates, i % layer.n_candidates, *bad));
}

}  // namespace reprise
