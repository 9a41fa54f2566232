#pragma once

#include "policies/registry.h"

namespace reprise {

// Commits the n surest proposals while (n + 1) (1 - c_n) < f, c_n being the n-th highest
// confidence, and at least one: the more at once, the surer they must be. Source: Fast-dLLM,
// arXiv 2505.22618, theorem 1. Its code also commits the last candidate when that one fails; this
// does not.
class FactorCommit final : public CommitPolicy {
 public:
  explicit FactorCommit(double f) : f_(f) {}
  void choose(const CommitView& view, std::vector<int32_t>& chosen) const override;

 private:
  double f_;
};

extern const PolicyEntry kFactorCommit;

}  // namespace reprise
