#pragma once

#include "policies/registry.h"

namespace reprise {

// Computes every branch at every step: exact, the reference of all schedules.
class FullBranch final : public BranchPolicy {
 public:
  BranchSchedule schedule(const BranchShape& shape,
                          const BranchCalibration* /*calibration*/) const override {
    return {shape, true};
  }
};

extern const PolicyEntry kFullBranch;

}  // namespace reprise
