#include "policies/kv/full.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"

namespace reprise {
namespace {

TEST(FullKv, KeepsEverythingInAnyType) {
  const auto policy = make_kv_policy("full:type=q4_0");
  const KvPlan plan = policy->plan();
  EXPECT_EQ(plan.type, KvType::kQ4_0);
  EXPECT_EQ(plan.budget.kind, Budget::Kind::kUnlimited);
  EXPECT_EQ(plan.n_window, 0);
  EXPECT_EQ(plan.decode, KvDecode::kGrow);
  EXPECT_FALSE(plan.needs_window_stats || plan.needs_prompt_attention);
  const double p[] = {1, 2};
  EXPECT_THAT(policy->split({p, 7, 9, 3}), ::testing::Each(9));
  std::vector<float> scores(4, -1);
  policy->score({.n_candidates = 2, .n_head_kv = 2}, scores);
  EXPECT_THAT(scores, ::testing::Each(0));
  EXPECT_EQ(policy->preference({}), 1);
}

TEST(FullKv, HasNoBudget) { EXPECT_THROW(make_kv_policy("full:budget=64"), Error); }

}  // namespace
}  // namespace reprise
