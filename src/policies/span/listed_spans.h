#pragma once

#include <vector>

#include "policies/span/span_policy.h"

namespace reprise {

// Spans that were all known before the first one; their lengths sum to the budget.
class ListedSpanPlanner final : public SpanPlanner {
 public:
  explicit ListedSpanPlanner(std::vector<SpanPlan> spans) : spans_(std::move(spans)) {}
  int32_t reach(const SpanView& view) const override { return spans_.at(view.i_span).n; }
  SpanPlan plan(const SpanView& view) override;

 private:
  std::vector<SpanPlan> spans_;
};

// Throws Error, opened by the policy's name, unless the request's earlier lengths are 1 at least
// and sum to no more than its budget. Returns the positions behind them.
int32_t check_earlier_lengths(std::string_view policy, const SpanRequest& request);

// Appends spans of b0, the last clipped, over n_rest positions.
void append_rest(int32_t n_rest, int32_t b0, std::vector<SpanPlan>& spans);

}  // namespace reprise
