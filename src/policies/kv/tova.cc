#include "policies/kv/tova.h"

#include <cassert>

#include "policies/kv/indicator.h"
#include "policies/kv/kv_options.h"

namespace reprise {

TovaKv::TovaKv(const KvPlan& plan) : plan_(plan) { plan_.needs_window_stats = true; }

void TovaKv::score(const KvLayerView& layer, std::span<float> scores) const {
  const auto n_cand = static_cast<size_t>(layer.n_candidates);
  assert(layer.stats != nullptr && layer.stats->last.size() == scores.size());
  for (size_t n = 0; n < n_cand; ++n) {
    double sum = 0;
    for (int32_t g = 0; g < layer.n_head_kv; ++g) sum += layer.stats->last[g * n_cand + n];
    for (int32_t g = 0; g < layer.n_head_kv; ++g) {
      scores[g * n_cand + n] = static_cast<float>(sum / layer.n_head_kv);
    }
  }
  check_scores(kTovaKv.name, layer, scores);
}

const PolicyEntry kTovaKv = {
    .name = "kv/tova",
    .summary = "keep what the last query of the prompt attends to, alike in all heads of a layer",
    .source = "TOVA, arXiv 2401.06104",
    .when_to_use = "with decode=tova, a hard cap on the cache with the simplest rule",
    .when_not = "several facts must survive: one query sees only what it needs itself",
    .options = kv_options({}),
    .make = [](const Options& o) -> std::unique_ptr<Policy> {
      return std::make_unique<TovaKv>(kv_plan(o));
    }};

}  // namespace reprise
