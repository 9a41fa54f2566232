#include "policies/kv/h2o.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "core/error.h"

namespace reprise {
namespace {

TEST(H2oKv, ScoresByTheSumOverThePrompt) {
  const auto policy = make_kv_policy("h2o");
  EXPECT_TRUE(policy->plan().needs_prompt_attention);
  EXPECT_FALSE(policy->plan().needs_window_stats);
  const float sums[] = {4, 1, 2, 3};
  std::vector<float> scores(4);
  policy->score({.n_candidates = 2, .n_head_kv = 2, .prompt_sum = sums}, scores);
  EXPECT_THAT(scores, ::testing::ElementsAre(4, 1, 2, 3));
}

TEST(H2oKv, RefusesNan) {
  const float sums[] = {4, std::numeric_limits<float>::quiet_NaN()};
  std::vector<float> scores(2);
  EXPECT_THROW(
      make_kv_policy("h2o")->score({.n_candidates = 2, .n_head_kv = 1, .prompt_sum = sums}, scores),
      Error);
}

TEST(H2oKv, TakesEveryCacheType) {
  EXPECT_EQ(make_kv_policy("h2o:type=q8_0")->plan().type, KvType::kQ8_0);
}

}  // namespace
}  // namespace reprise
