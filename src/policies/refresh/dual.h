#pragma once

#include "policies/registry.h"

namespace reprise {

// Reuses the keys and values on both sides of the span; computes the span and, if asked, some rows
// beside it. Source: Fast-dLLM, arXiv 2505.22618; rows beside the span and refreshing
// inside it are dInfer's vicinity refresh, arXiv 2510.08666.
class DualRefresh final : public RefreshPolicy {
 public:
  // every: passes, 0: never inside a span; n_before, n_after: rows beside the span, clipped by the
  // canvas.
  DualRefresh(int32_t every, int32_t n_before, int32_t n_after)
      : every_(every), n_before_(n_before), n_after_(n_after) {}
  RefreshRows rows(const RefreshView& view) const override;

 private:
  int32_t every_, n_before_, n_after_;
};

extern const PolicyEntry kDualRefresh;

}  // namespace reprise
