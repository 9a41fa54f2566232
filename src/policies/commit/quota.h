#pragma once

#include "policies/registry.h"

namespace reprise {

// Commits a fixed number of positions a pass, the surest or any: `steps` passes for the budget,
// equally many for each span; of n masked positions and T passes of a span the first n mod T passes
// commit one more than the others. Source: LLaDA, arXiv 2502.09992, low-confidence and random
// remasking.
class QuotaCommit final : public CommitPolicy {
 public:
  enum class Confidence : uint8_t { kLow, kRandom };
  // steps 0: one a position of the budget.
  QuotaCommit(int32_t steps, Confidence confidence) : steps_(steps), confidence_(confidence) {}
  // Spans of one known length that divides the budget, and steps that divide among them.
  void check(int32_t budget, int32_t fixed_length) const override;
  void choose(const CommitView& view, std::vector<int32_t>& chosen) const override;

 private:
  int32_t steps_;
  Confidence confidence_;
};

extern const PolicyEntry kQuotaCommit;

}  // namespace reprise
