#include "policies/kv/pyramid.h"

#include "policies/kv/kv_options.h"

namespace reprise {

PyramidKv::PyramidKv(const KvPlan& plan, int32_t n_pool, double beta)
    : plan_(plan), n_pool_(n_pool), beta_(beta) {
  plan_.needs_window_stats = true;
}

void PyramidKv::score(const KvLayerView& layer, std::span<float> scores) const {
  attention_indicator({.gamma = 0, .n_pool = n_pool_}, kPyramidKv.name, layer, scores);
}

const PolicyEntry kPyramidKv = {
    .name = "kv/pyramid",
    .summary = "SnapKV with more entries in the first layers and fewer in the last",
    .source = "PyramidKV, arXiv 2406.02069",
    .when_to_use = "as a fixed shape to compare with; models whose attention narrows with depth",
    .when_not = "models whose layers do not follow the shape, which kv/cake measures instead",
    .options = kv_options(
        {kv_pool_option(),
         real_option("beta", 20, 1, 1000, "mean budget of a layer over that of the last layer")}),
    .make = [](const Options& o) -> std::unique_ptr<Policy> {
      return std::make_unique<PyramidKv>(kv_plan(o), o.i32("pool"), o.real("beta"));
    }};

}  // namespace reprise
