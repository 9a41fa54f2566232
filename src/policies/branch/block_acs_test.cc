#include "policies/branch/block_acs.h"

#include <gtest/gtest.h>

#include "policies/branch/acs.h"
#include "support/random_branches.h"

namespace reprise {
namespace {

TEST(BlockAcsBranch, GivesEachBranchItsOwnBestSteps) {
  const BranchShape shape{.n_layers = 3, .n_steps = 20};
  const BranchCalibration calibration = test::random_calibration(shape, 1);
  for (const BranchMetric metric : kBranchMetrics) {
    const std::string spec =
        "block_acs:updates=5,force_last=false,metric=" + std::string(to_string(metric));
    const BranchSchedule schedule = make_branch_policy(spec)->schedule(shape, &calibration);
    const std::vector<float>& all = calibration.similarity.at(metric);
    for (int32_t b = 0; b < shape.n_branches(); ++b) {
      const std::vector<double> matrix(all.begin() + 400 * b, all.begin() + 400 * (b + 1));
      EXPECT_EQ(schedule.steps_of(b), adaptive_cache_steps({matrix, 20, is_distance(metric)}, 5))
          << spec << " branch " << b;
    }
    EXPECT_GT(schedule.n_distinct_masks(), 2) << spec;  // branches do differ
  }
}

}  // namespace
}  // namespace reprise
