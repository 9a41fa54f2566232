#pragma once

#include "policies/registry.h"

namespace reprise {

// Commits the surest proposal alone. Source: LLaDA, arXiv 2502.09992, as many steps as positions.
class Top1Commit final : public CommitPolicy {
 public:
  void choose(const CommitView& view, std::vector<int32_t>& chosen) const override;
};

extern const PolicyEntry kTop1Commit;

}  // namespace reprise
