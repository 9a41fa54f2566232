#pragma once

#include "policies/registry.h"

namespace reprise {

// Computes every branch at every n-th step. Source: the baseline in "Block-wise Adaptive Caching
// for Accelerating Diffusion Policy", arXiv 2506.13456.
class UniformBranch final : public BranchPolicy {
 public:
  struct Config {
    int32_t every = 5;         // steps, 1..K
    int32_t n_updates = 0;     // 0: `every` holds; else it is K / n_updates, rounded down
    bool forces_last = false;  // computes the last step, too
  };
  explicit UniformBranch(const Config& config) : config_(config) {}
  BranchSchedule schedule(const BranchShape& shape,
                          const BranchCalibration* calibration) const override;

 private:
  Config config_;
};

extern const PolicyEntry kUniformBranch;

}  // namespace reprise
