#include "policies/branch/unified.h"

#include <gtest/gtest.h>

#include "support/random_branches.h"

namespace reprise {
namespace {

TEST(UnifiedBranch, GivesAllBranchesTheStepsOfTheFirst) {
  const BranchShape shape{.n_layers = 3, .n_steps = 20};
  BranchCalibration calibration = test::random_calibration(shape, 1);
  const auto of = [&](const std::string& spec) {
    return make_branch_policy(spec)->schedule(shape, &calibration);
  };
  const BranchSchedule schedule = of("unified:updates=5");
  const std::string want = test::verdicts(of("block_acs:updates=5,force_last=false"), 0);
  for (int32_t b = 0; b < shape.n_branches(); ++b) {
    EXPECT_EQ(test::verdicts(schedule, b), want) << "branch " << b;
  }
  EXPECT_EQ(schedule.n_distinct_masks(), 2);
  // Others have no say.
  for (size_t i = 400; i < calibration.similarity[BranchMetric::kCosine].size(); ++i) {
    calibration.similarity[BranchMetric::kCosine][i] *= -1;
  }
  EXPECT_EQ(of("unified:updates=5"), schedule);
}

}  // namespace
}  // namespace reprise
