#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "policies/branch/branch_schedule.h"
#include "policies/policy.h"

namespace reprise {

// How the outputs of one branch at two steps are compared, over all rows and channels: the cosine;
// the sum of absolute differences; the mean of squared ones; the square root of their sum.
enum class BranchMetric : uint8_t { kCosine, kL1, kMse, kL2 };
// All of them, in the order of the enum; to_string gives "cosine", "l1", "mse", "l2".
inline constexpr BranchMetric kBranchMetrics[] = {BranchMetric::kCosine, BranchMetric::kL1,
                                                  BranchMetric::kMse, BranchMetric::kL2};
std::string_view to_string(BranchMetric metric);
// Throws Error with the nearest name.
BranchMetric parse_branch_metric(std::string_view name);
// A metric that is small where steps are alike, so that it is minimised.
inline bool is_distance(BranchMetric metric) { return metric != BranchMetric::kCosine; }

// What calibration measured at uncached calls, averaged over them.
struct BranchCalibration {
  BranchShape shape;
  std::map<BranchMetric, std::vector<float>> similarity;  // each [n_branches][K][K], symmetric
  // [n_branches]: mean |difference| of a value between two steps, over all pairs of steps.
  std::vector<double> volatility;
};

// Decides which residual branches of a policy transformer are computed at which denoising step, the
// outputs of the others being taken from the step that computed them last.
class BranchPolicy : public Policy {
 public:
  virtual bool needs_calibration() const { return false; }
  // Which similarity the calibration has to hold; meaningless without needs_calibration().
  virtual BranchMetric metric() const { return BranchMetric::kCosine; }
  // The calibration file that the user named; empty: its usual place.
  virtual std::string file() const { return {}; }
  // What the user should know about the options, one sentence; empty mostly.
  virtual std::string warning() const { return {}; }
  // Everything is known before a call. `calibration` may be null unless it is needed. Throws Error
  // on options that this shape cannot have, and on a calibration of another shape or with numbers
  // that are not finite.
  virtual BranchSchedule schedule(const BranchShape& shape,
                                  const BranchCalibration* calibration) const = 0;
};

}  // namespace reprise
