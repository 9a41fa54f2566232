#include "policies/refresh/none.h"

namespace reprise {

const PolicyEntry kNoneRefresh = {
    .name = "refresh/none",
    .summary = "compute every row of every pass; no cache",
    .source = "LLaDA, arXiv 2502.09992; exact",
    .when_to_use = "short texts, and as the exact reference of every cache",
    .when_not = "long prompts or budgets: every pass costs as much as the first",
    .options = {},
    .make = [](const Options& /*options*/) -> std::unique_ptr<Policy> {
      return std::make_unique<NoneRefresh>();
    }};

}  // namespace reprise
