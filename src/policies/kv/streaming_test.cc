#include "policies/kv/streaming.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "policies/kv/ranking.h"

namespace reprise {
namespace {

std::vector<int32_t> kept(std::string_view spec, int32_t n_cand, int32_t n_keep) {
  std::vector<float> scores(static_cast<size_t>(n_cand) * 2);
  make_kv_policy(spec)->score({.n_candidates = n_cand, .n_head_kv = 2}, scores);
  EXPECT_TRUE(std::equal(scores.begin(), scores.begin() + n_cand, scores.begin() + n_cand));
  std::vector<int32_t> order(n_cand);
  rank_candidates(std::span(scores).first(n_cand), n_keep, order);
  order.resize(n_keep);
  return order;
}

TEST(StreamingKv, KeepsSinksThenTheMostRecent) {
  EXPECT_THAT(kept("streaming", 10, 6), ::testing::ElementsAre(0, 1, 2, 3, 9, 8));
  EXPECT_THAT(kept("streaming:sink=0", 10, 3), ::testing::ElementsAre(9, 8, 7));
  EXPECT_THAT(kept("streaming:sink=64", 10, 3), ::testing::ElementsAre(0, 1, 2));
  EXPECT_THAT(kept("streaming", 1000003, 6), ::testing::ElementsAre(0, 1, 2, 3, 1000002, 1000001));
}

TEST(StreamingKv, NeedsNoStatistics) {
  const KvPlan plan = make_kv_policy("streaming")->plan();
  EXPECT_FALSE(plan.needs_window_stats || plan.needs_prompt_attention);
  const double p[] = {1, 100};
  EXPECT_THAT(make_kv_policy("streaming")->split({p, 20, 50, 2}), ::testing::ElementsAre(10, 10));
}

TEST(StreamingKv, RefusesSinksWithoutRoom) {
  EXPECT_NO_THROW(make_kv_policy("streaming:budget=37"));
  EXPECT_THROW(make_kv_policy("streaming:budget=36"), Error);
  EXPECT_THROW(make_kv_policy("streaming:sink=65"), Error);
  EXPECT_THROW(make_kv_policy("streaming:sink=-1"), Error);
}

}  // namespace
}  // namespace reprise
