#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policies/branch/branch_policy.h"
#include "policies/options.h"

namespace reprise {

// What calibration measured with one metric, checked.
struct StepSimilarity {
  BranchShape shape;
  std::span<const float> values;  // [n_branches][K][K]
  bool is_distance = false;

  std::span<const float> of(int32_t b) const {
    const auto n = static_cast<size_t>(shape.n_steps) * static_cast<size_t>(shape.n_steps);
    return values.subspan(static_cast<size_t>(b) * n, n);
  }
};

// A schedule out of measured similarities: a rule gives every branch its steps, bubbling joins some
// of them, and the last step may be computed besides. The policies of this form differ in the rule.
class CalibratedBranch final : public BranchPolicy {
 public:
  struct Config {
    int32_t n_updates = 10;  // S, 1..K
    int32_t n_bubbling = 0;  // n, 0..n_branches
    BranchMetric metric = BranchMetric::kCosine;
    bool forces_last = true;
    std::string file = {};  // empty: the usual place
  };
  // Gives each branch n_updates steps; the schedule has step 0 alone before.
  using Rule = void (*)(const StepSimilarity& similarity, int32_t n_updates,
                        BranchSchedule& schedule);

  // `name` opens messages and points at a literal.
  CalibratedBranch(std::string_view name, Config config, Rule rule)
      : name_(name), config_(std::move(config)), rule_(rule) {}

  bool needs_calibration() const override { return true; }
  BranchMetric metric() const override { return config_.metric; }
  std::string file() const override { return config_.file; }
  // Of bubbling=1.
  std::string warning() const override;
  BranchSchedule schedule(const BranchShape& shape,
                          const BranchCalibration* calibration) const override;

 private:
  StepSimilarity similarity(const BranchShape& shape, const BranchCalibration* calibration) const;

  std::string_view name_;
  Config config_;
  Rule rule_;
};

// updates, metric, force_last, file, and the values they were given; bubbling is bac's own.
std::vector<OptionSpec> calibrated_options(std::string_view force_last);
CalibratedBranch::Config calibrated_config(const Options& options);

}  // namespace reprise
