#include "policies/span/fixed.h"

#include <algorithm>

namespace reprise {

SpanPlan FixedSpanPlanner::plan(const SpanView& view) { return {.n = std::min(n_, view.n_left)}; }

std::unique_ptr<SpanPlanner> FixedSpan::begin(const SpanRequest& /*request*/) const {
  return std::make_unique<FixedSpanPlanner>(n_);
}

const PolicyEntry kFixedSpan = {
    .name = "span/fixed",
    .summary = "fill spans of one length from left to right",
    .source = "LLaDA, arXiv 2502.09992: semi-autoregressive decoding",
    .when_to_use = "the usual way, and what every adaptive span has to beat; 32 suits most models",
    .when_not = "lines of the answer differ much in length: its borders cut them anywhere",
    .options = {int_option("len", 32, 1, 65536, "positions of a span; the last may be shorter")},
    .make = [](const Options& o) -> std::unique_ptr<Policy> {
      return std::make_unique<FixedSpan>(o.i32("len"));
    }};

}  // namespace reprise
