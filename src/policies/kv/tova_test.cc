#include "policies/kv/tova.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "core/error.h"

namespace reprise {
namespace {

TEST(TovaKv, AveragesTheLastRowOverHeads) {
  const auto policy = make_kv_policy("tova");
  EXPECT_TRUE(policy->plan().needs_window_stats);
  WindowStats stats;
  stats.mean = {9, 9, 9, 9, 9, 9};
  stats.last = {1, 2, 3, 5, 2, 0};
  std::vector<float> scores(6);
  policy->score({.n_candidates = 3, .n_head_kv = 2, .stats = &stats}, scores);
  EXPECT_THAT(scores, ::testing::ElementsAre(3, 2, 1.5, 3, 2, 1.5));
}

TEST(TovaKv, RefusesNan) {
  WindowStats stats;
  stats.last = {1, std::numeric_limits<float>::quiet_NaN()};
  std::vector<float> scores(2);
  EXPECT_THROW(
      make_kv_policy("tova")->score({.n_candidates = 2, .n_head_kv = 1, .stats = &stats}, scores),
      Error);
}

}  // namespace
}  // namespace reprise
