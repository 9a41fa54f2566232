#pragma once

#include "policies/registry.h"

namespace reprise {

// Fills the whole budget as one span: pure diffusion, without a direction. Source: LLaDA,
// arXiv 2502.09992, and Dream's own loop, arXiv 2508.15487.
class WholeSpan final : public SpanPolicy {
 public:
  int32_t fixed_length(int32_t budget) const override { return budget; }
  std::unique_ptr<SpanPlanner> begin(const SpanRequest& request) const override;
};

extern const PolicyEntry kWholeSpan;

}  // namespace reprise
