#include "policies/refresh/prefix.h"

#include "policies/refresh/full_pass.h"

namespace reprise {

RefreshRows PrefixRefresh::rows(const RefreshView& view) const {
  return {is_full_pass(view, every_) ? 0 : view.first, view.n_canvas};
}

const PolicyEntry kPrefixRefresh = {
    .name = "refresh/prefix",
    .summary = "reuse keys and values left of the span, compute the span and what follows",
    .source = "Fast-dLLM, arXiv 2505.22618",
    .when_to_use = "long prompts with short budgets",
    .when_not = "long budgets: what follows the span is computed every pass",
    .options = {every_option()},
    .make = [](const Options& o) -> std::unique_ptr<Policy> {
      return std::make_unique<PrefixRefresh>(o.i32("every"));
    }};

}  // namespace reprise
