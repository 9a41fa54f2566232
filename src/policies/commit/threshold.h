#pragma once

#include "policies/registry.h"

namespace reprise {

// Commits every proposal that is sure enough, and the surest one in any case. Source: Fast-dLLM,
// arXiv 2505.22618.
class ThresholdCommit final : public CommitPolicy {
 public:
  explicit ThresholdCommit(float tau) : tau_(tau) {}  // least confidence, in (0, 1]
  void choose(const CommitView& view, std::vector<int32_t>& chosen) const override;

 private:
  float tau_;
};

extern const PolicyEntry kThresholdCommit;

}  // namespace reprise
