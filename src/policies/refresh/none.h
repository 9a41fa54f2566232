#pragma once

#include "policies/registry.h"

namespace reprise {

// Computes every row of every pass: exact, the reference of all caches.
class NoneRefresh final : public RefreshPolicy {
 public:
  RefreshRows rows(const RefreshView& view) const override { return {0, view.n_canvas}; }
};

extern const PolicyEntry kNoneRefresh;

}  // namespace reprise
