#include "policies/branch/lowest_consecutive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/random_branches.h"
#include "support/step_subsets.h"

namespace reprise {
namespace {

using ::testing::ElementsAre;

TEST(LowestConsecutive, TakesTheStepsLeastLikeTheOneBefore) {
  // Similarities to the step before: 0.9 0.2 0.8 0.1 0.2
  std::vector<double> matrix(36, 0.5);
  const double consecutive[] = {0.9, 0.2, 0.8, 0.1, 0.2};
  for (size_t k = 1; k < 6; ++k)
    matrix[(k - 1) * 6 + k] = matrix[k * 6 + k - 1] = consecutive[k - 1];
  EXPECT_THAT(lowest_consecutive_steps({matrix, 6, false}, 1), ElementsAre(0));
  EXPECT_THAT(lowest_consecutive_steps({matrix, 6, false}, 2), ElementsAre(0, 4));
  EXPECT_THAT(lowest_consecutive_steps({matrix, 6, false}, 3), ElementsAre(0, 2, 4));
  EXPECT_THAT(lowest_consecutive_steps({matrix, 6, true}, 3), ElementsAre(0, 1, 3));
  EXPECT_THAT(lowest_consecutive_steps({matrix, 6, false}, 6), ElementsAre(0, 1, 2, 3, 4, 5));
}

// The optimum of the printed objective: similarities of neighbours, but across updates.
TEST(LowestConsecutive, IsTheOptimumOfTheConsecutiveObjective) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    SplitMix64 rng(seed);
    const int32_t n = 2 + static_cast<int32_t>(rng.next() % 10);
    const std::vector<float> features = test::drifting_features(rng, n, 5);
    for (const BranchMetric metric : kBranchMetrics) {
      std::vector<double> matrix(n * n);
      for (int32_t i = 0; i < n * n; ++i) {
        matrix[i] = test::compare_steps(metric, features, 5, i / n, i % n);
      }
      const double sign = is_distance(metric) ? -1 : 1;
      const auto worth = [&](const std::vector<int32_t>& steps) {
        double sum = 0;
        for (int32_t k = 1; k < n; ++k) {
          if (!std::ranges::binary_search(steps, k)) sum += sign * matrix[(k - 1) * n + k];
        }
        return sum;
      };
      for (int32_t n_updates = 1; n_updates <= std::min(n, 5); ++n_updates) {
        EXPECT_EQ(lowest_consecutive_steps({matrix, n, is_distance(metric)}, n_updates),
                  test::best_subset(n, n_updates, worth))
            << to_string(metric) << " K=" << n << " S=" << n_updates << " seed " << seed;
      }
    }
  }
}

TEST(LowestConsecutive, IsTheRuleOfThePolicy) {
  const BranchShape shape{.n_layers = 2, .n_steps = 12};
  const BranchCalibration calibration = test::random_calibration(shape, 1);
  const BranchSchedule schedule =
      make_branch_policy("lowest_consecutive:updates=4,force_last=false,metric=l2")
          ->schedule(shape, &calibration);
  const std::vector<float>& all = calibration.similarity.at(BranchMetric::kL2);
  for (int32_t b = 0; b < shape.n_branches(); ++b) {
    const std::vector<double> matrix(all.begin() + 144 * b, all.begin() + 144 * (b + 1));
    EXPECT_EQ(schedule.steps_of(b), lowest_consecutive_steps({matrix, 12, true}, 4)) << b;
  }
}

}  // namespace
}  // namespace reprise
