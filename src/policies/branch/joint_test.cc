#include "policies/branch/joint.h"

#include <gtest/gtest.h>

#include "policies/branch/acs.h"
#include "support/random_branches.h"

namespace reprise {
namespace {

TEST(JointBranch, TakesTheBestStepsOfTheAveragedSimilarities) {
  const BranchShape shape{.n_layers = 3, .n_steps = 20};
  const BranchCalibration calibration = test::random_calibration(shape, 1);
  for (const BranchMetric metric : kBranchMetrics) {
    const std::vector<float>& all = calibration.similarity.at(metric);
    std::vector<double> mean(400);
    for (size_t i = 0; i < all.size(); ++i) mean[i % 400] += all[i];
    for (double& value : mean) value /= 9;
    BranchSchedule want(shape, false);
    for (const int32_t k : adaptive_cache_steps({mean, 20, is_distance(metric)}, 5)) {
      want.compute_all_at(k);
    }
    const std::string spec =
        "joint:updates=5,force_last=false,metric=" + std::string(to_string(metric));
    EXPECT_EQ(make_branch_policy(spec)->schedule(shape, &calibration), want) << spec;
    EXPECT_EQ(want.n_distinct_masks(), 2) << spec;
  }
}

// One branch that changes at step 4 outvotes two that do not mind.
TEST(JointBranch, AsksAllBranches) {
  const BranchShape shape{.n_layers = 1, .n_steps = 8};
  BranchCalibration calibration{
      .shape = shape, .similarity = {}, .volatility = std::vector<double>(3, 1.0)};
  std::vector<float>& values = calibration.similarity[BranchMetric::kCosine];
  values.assign(3 * 64, 1.0F);
  for (int32_t i = 0; i < 64; ++i) values[128 + i] = (i / 8 < 4) == (i % 8 < 4) ? 1.0F : 0.0F;
  const auto of = [&](const std::string& name) {
    return test::verdicts(
        make_branch_policy(name + ":updates=2,force_last=false")->schedule(shape, &calibration), 0);
  };
  EXPECT_EQ(of("joint"), "CRRRCRRR");
  EXPECT_EQ(of("unified"), "CCRRRRRR");  // its branch is alike everywhere: the earliest
}

}  // namespace
}  // namespace reprise
