#include "policies/refresh/dual.h"

#include <algorithm>

#include "policies/refresh/full_pass.h"

namespace reprise {

RefreshRows DualRefresh::rows(const RefreshView& view) const {
  if (is_full_pass(view, every_)) return {0, view.n_canvas};
  return {std::max(view.first - n_before_, 0), std::min(view.end + n_after_, view.n_canvas)};
}

const PolicyEntry kDualRefresh = {
    .name = "refresh/dual",
    .summary = "reuse keys and values on both sides of the span, compute the span",
    .source = "Fast-dLLM, arXiv 2505.22618; rows beside the span: dInfer, arXiv 2510.08666",
    .when_to_use = "long budgets: a pass costs the span alone",
    .when_not = "quality comes first, or spans are so short that first passes dominate",
    .options = {every_option(),
                int_option("before", 0, 0, 65536, "rows left of the span computed with it"),
                int_option("after", 0, 0, 65536, "rows right of the span computed with it")},
    .make = [](const Options& o) -> std::unique_ptr<Policy> {
      return std::make_unique<DualRefresh>(o.i32("every"), o.i32("before"), o.i32("after"));
    }};

}  // namespace reprise
