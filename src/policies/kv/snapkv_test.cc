#include "policies/kv/snapkv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"

namespace reprise {
namespace {

using ::testing::ElementsAre;

TEST(SnapKv, RanksByPooledMeanAndIgnoresVariance) {
  const auto policy = make_kv_policy("snapkv:pool=3");
  EXPECT_TRUE(policy->plan().needs_window_stats);
  WindowStats stats;
  stats.mean = {3, 0, 6, 0};
  stats.var = {9, 9, 9, 9};
  std::vector<float> scores(4);
  policy->score({.n_candidates = 4, .n_head_kv = 1, .stats = &stats}, scores);
  EXPECT_THAT(scores, ElementsAre(1, 3, 2, 2));
}

TEST(SnapKv, GivesEveryLayerTheSame) {
  const double p[] = {1, 100, 10000};
  EXPECT_THAT(make_kv_policy("snapkv")->split({p, 30, 50, 3}), ElementsAre(10, 10, 10));
}

TEST(SnapKv, RefusesAnEvenPool) { EXPECT_THROW(make_kv_policy("snapkv:pool=2"), Error); }

}  // namespace
}  // namespace reprise
