#include "policies/kv/snapkv.h"

#include "policies/kv/kv_options.h"

namespace reprise {

SnapKv::SnapKv(const KvPlan& plan, int32_t n_pool) : plan_(plan), n_pool_(n_pool) {
  plan_.needs_window_stats = true;
}

void SnapKv::score(const KvLayerView& layer, std::span<float> scores) const {
  attention_indicator({.gamma = 0, .n_pool = n_pool_}, kSnapKv.name, layer, scores);
}

const PolicyEntry kSnapKv = {
    .name = "kv/snapkv",
    .summary = "keep what the prompt's last queries attend to, equally much in every layer",
    .source = "SnapKV, arXiv 2404.14469",
    .when_to_use = "the plain baseline for a question at the end of a long prompt",
    .when_not = "the question comes after the prompt was compressed, or in a later turn",
    .options = kv_options({kv_pool_option()}),
    .make = [](const Options& o) -> std::unique_ptr<Policy> {
      return std::make_unique<SnapKv>(kv_plan(o), o.i32("pool"));
    }};

}  // namespace reprise
