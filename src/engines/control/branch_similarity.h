#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "engines/control/step_pairs.h"
#include "policies/branch/branch_policy.h"

namespace reprise {

// Gathers what branch policies want to know from uncached calls: how alike the outputs of each
// branch are at every two steps, and how much they change. Sums over calls are F64; within one
// comparison 16 products at most are added up in F32.
class BranchSimilarity {
 public:
  // n_values: of one output, rows x channels of one robot. Throws Error on a shape that is none, no
  // values, or no metric.
  BranchSimilarity(const BranchShape& shape, int32_t n_values,
                   std::span<const BranchMetric> metrics);

  // Adds one call of one robot: what branch b gave at each step, [K][n_values]. Outputs of zero
  // norm, of values that are not finite, or with a norm beyond 3e18 count as zeros: their cosine
  // with any other is 0. Different branches may be added by different threads at a time. Throws
  // Error on another number of values.
  void add(int32_t b, std::span<const float> features);

  // Means over the calls. Throws Error unless each branch was added equally often, once at least.
  BranchCalibration mean() const;
  // Calls of every branch so far; of branch 0 while they differ.
  int32_t n_calls() const { return branches_.front().n_calls; }
  // Outputs that counted as zeros, over all branches, steps and calls; worth a warning.
  int64_t n_zeroed() const;

 private:
  struct Branch {
    std::map<BranchMetric, std::vector<double>> sums;  // over calls, each [pairs]
    double volatility = 0;                             // summed over calls
    int32_t n_calls = 0;
    int64_t n_zeroed = 0;
  };

  BranchShape shape_;
  StepPairs pairs_;
  int32_t n_values_;
  std::vector<Branch> branches_;  // [n_branches]
};

}  // namespace reprise
