#include "policies/kv/h2o.h"

#include <algorithm>
#include <cassert>

#include "policies/kv/indicator.h"
#include "policies/kv/kv_options.h"

namespace reprise {
H2oKv::H2oKv(const KvPlan& plan) : plan_(plan) { plan_.needs_prompt_attention = true; }

void H2oKv::score(const KvLayerView& layer, std::span<float> scores) const {
  assert(layer.prompt_sum.size() == scores.size());
  std::ranges::copy(layer.prompt_sum, scores.begin());
  check_scores(kH2oKv.name, layer, scores);
}

const PolicyEntry kH2oKv = {
    .name = "kv/h2o",
    .summary = "keep the entries that gathered most attention over the whole prompt",
    .source = "H2O, arXiv 2306.14048",
    .when_to_use = "as the classic to compare with; prompts without a question at their end",
    .when_not = "speed matters: it needs the attention of every query, not of the window alone",
    .options = kv_options({}),
    .make = [](const Options& o) -> std::unique_ptr<Policy> {
      return std::make_unique<H2oKv>(kv_plan(o));
    }};

}  // namespace reprise
