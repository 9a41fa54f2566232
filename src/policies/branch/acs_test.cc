#include "policies/branch/acs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "support/random_branches.h"
#include "support/step_subsets.h"

namespace reprise {
namespace {

using ::testing::ElementsAre;

// Alike within runs of steps, unlike between them.
std::vector<double> runs(const std::vector<int32_t>& run_of_step, bool is_distance) {
  std::vector<double> matrix;
  for (const int32_t a : run_of_step) {
    for (const int32_t b : run_of_step) matrix.push_back((a == b) != is_distance ? 1.0 : 0.0);
  }
  return matrix;
}

TEST(Acs, FindsWhereOutputsChange) {
  for (const bool is_distance : {false, true}) {
    const std::vector<double> matrix = runs({0, 0, 0, 1, 1, 1, 1, 2, 3, 3}, is_distance);
    const StepMatrix view{matrix, 10, is_distance};
    EXPECT_THAT(adaptive_cache_steps(view, 4), ElementsAre(0, 3, 7, 8));
    // The run of one step is the cheapest to lose.
    EXPECT_THAT(adaptive_cache_steps(view, 3), ElementsAre(0, 3, 8));
    EXPECT_THAT(adaptive_cache_steps(view, 1), ElementsAre(0));
    EXPECT_THAT(adaptive_cache_steps(view, 10), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
  }
}

TEST(Acs, OfEqualSchedulesTakesTheEarliest) {
  const std::vector<double> matrix(36, 1.0);
  EXPECT_THAT(adaptive_cache_steps({matrix, 6, false}, 3), ElementsAre(0, 1, 2));
  EXPECT_THAT(adaptive_cache_steps({matrix, 6, true}, 3), ElementsAre(0, 1, 2));
}

TEST(Acs, JudgesASegmentByItsUpdate) {
  // Neighbours are always alike, but steps drift from the update on: a long segment costs more.
  std::vector<double> matrix(64);
  for (int32_t i = 0; i < 64; ++i) matrix[i] = 1.0 - 0.01 * std::abs(i / 8 - i % 8);
  EXPECT_THAT(adaptive_cache_steps({matrix, 8, false}, 4), ElementsAre(0, 2, 4, 6));
}

TEST(Acs, IsTheBestOfAllChoices) {
  for (uint64_t seed = 0; seed < 6; ++seed) {
    SplitMix64 rng(seed);
    for (const BranchMetric metric : kBranchMetrics) {
      for (int32_t n = 1; n <= 12; n += seed < 2 ? 1 : 4) {
        const std::vector<float> features = test::drifting_features(rng, n, 5);
        std::vector<double> matrix(n * n);
        for (int32_t i = 0; i < n * n; ++i) {
          matrix[i] = test::compare_steps(metric, features, 5, i / n, i % n);
        }
        const double sign = is_distance(metric) ? -1 : 1;
        const auto worth = [&](const std::vector<int32_t>& steps) {
          double sum = 0;
          size_t i_update = 0;
          for (int32_t k = 0; k < n; ++k) {
            if (i_update + 1 < steps.size() && steps[i_update + 1] == k) ++i_update;
            sum += sign * matrix[steps[i_update] * n + k];
          }
          return sum;
        };
        for (int32_t n_updates = 1; n_updates <= std::min(n, 4); ++n_updates) {
          EXPECT_EQ(adaptive_cache_steps({matrix, n, is_distance(metric)}, n_updates),
                    test::best_subset(n, n_updates, worth))
              << to_string(metric) << " K=" << n << " S=" << n_updates << " seed " << seed;
        }
      }
    }
  }
}

}  // namespace
}  // namespace reprise
