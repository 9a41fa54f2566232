#include "policies/span/whole.h"

#include "policies/span/fixed.h"

namespace reprise {

std::unique_ptr<SpanPlanner> WholeSpan::begin(const SpanRequest& request) const {
  return std::make_unique<FixedSpanPlanner>(request.budget);
}

const PolicyEntry kWholeSpan = {
    .name = "span/whole",
    .summary = "fill the whole budget as one span",
    .source = "LLaDA, arXiv 2502.09992; Dream, arXiv 2508.15487",
    .when_to_use = "short answers, Dream's own commit rules, or as a control",
    .when_not =
        "long budgets: models trained with an answer padded by its end token then end too "
        "early",
    .options = {},
    .make = [](const Options& /*options*/) -> std::unique_ptr<Policy> {
      return std::make_unique<WholeSpan>();
    }};

}  // namespace reprise
