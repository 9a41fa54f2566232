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
// and sum to its budget.
void check_earlier_lengths(std::string_view policy, const SpanRequest& request);

}  // namespace reprise
