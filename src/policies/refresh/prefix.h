#pragma once

#include "policies/registry.h"

namespace reprise {

// Reuses the keys and values of everything left of the span; computes the span and what follows it.
// Source: Fast-dLLM, arXiv 2505.22618; refreshing inside a span is dInfer's,
// arXiv 2510.08666.
class PrefixRefresh final : public RefreshPolicy {
 public:
  explicit PrefixRefresh(int32_t every) : every_(every) {}  // passes; 0: never inside a span
  RefreshRows rows(const RefreshView& view) const override;

 private:
  int32_t every_;
};

extern const PolicyEntry kPrefixRefresh;

}  // namespace reprise
