#include "policies/kv/kv_policy.h"

#include <gtest/gtest.h>

namespace reprise {
namespace {

// The least that a policy must bring.
class RankByHead final : public KvPolicy {
 public:
  KvPlan plan() const override { return {}; }
  void score(const KvLayerView& layer, std::span<float> scores) const override {
    for (size_t i = 0; i < scores.size(); ++i) {
      const size_t g = i / static_cast<size_t>(layer.n_candidates);
      scores[i] = static_cast<float>(g);
    }
  }
  std::vector<int32_t> split(const SplitInput& in) const override { return split_waterfill(in); }
};

TEST(KvPolicy, KeepsEverythingUnlessItsPlanSaysOtherwise) {
  const KvPlan plan = RankByHead().plan();
  EXPECT_EQ(plan.budget.kind, Budget::Kind::kUnlimited);
  EXPECT_EQ(plan.type, KvType::kF16);
  EXPECT_EQ(plan.n_window, 0);
  EXPECT_EQ(plan.decode, KvDecode::kGrow);
  EXPECT_EQ(plan.decode_every, 1);
  EXPECT_FALSE(plan.needs_window_stats);
  EXPECT_FALSE(plan.needs_prompt_attention);
}

// Whatever was measured: a waterfilling split then gives every layer the same.
TEST(KvPolicy, PrefersNoLayerUnlessItSaysOtherwise) {
  const RankByHead policy;
  WindowStats stats;
  stats.entropy = 98.5;
  stats.variance = 0.004;
  EXPECT_EQ(policy.preference({.il = 0, .n_candidates = 3, .n_head_kv = 2}), 1);
  EXPECT_EQ(policy.preference({.il = 7, .n_candidates = 3, .n_head_kv = 2, .stats = &stats}), 1);
  const std::vector<double> preference(4, policy.preference({}));
  EXPECT_EQ(policy.split({preference, 40, 30, 4}), (std::vector<int32_t>{10, 10, 10, 10}));
}

}  // namespace
}  // namespace reprise
