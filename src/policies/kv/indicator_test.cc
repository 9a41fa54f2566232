#include "policies/kv/indicator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "core/error.h"

namespace reprise {
namespace {

using ::testing::ElementsAre;

std::vector<float> scored(const Indicator& indicator, const WindowStats& stats, int32_t n_cand,
                          int32_t n_head_kv) {
  std::vector<float> scores(stats.mean.size(), -1);
  attention_indicator(indicator, "kv/test",
                      {.il = 3, .n_candidates = n_cand, .n_head_kv = n_head_kv, .stats = &stats},
                      scores);
  return scores;
}

WindowStats stats_of(std::vector<float> mean, std::vector<float> var) {
  WindowStats stats;
  stats.mean = std::move(mean);
  stats.var = std::move(var);
  return stats;
}

TEST(Indicator, AddsGammaTimesVariance) {
  const WindowStats stats = stats_of({1, 2, 3}, {0.5, 0, 0.25});
  EXPECT_THAT(scored({.gamma = 0, .n_pool = 1}, stats, 3, 1), ElementsAre(1, 2, 3));
  EXPECT_THAT(scored({.gamma = 8, .n_pool = 1}, stats, 3, 1), ElementsAre(5, 2, 5));
}

TEST(Indicator, PoolsInsideAHeadWithZerosBeyondTheEnds) {
  const WindowStats stats = stats_of({3, 6, 9, 12, 30, 0, 0, 60}, std::vector<float>(8, 0));
  EXPECT_THAT(scored({.gamma = 0, .n_pool = 3}, stats, 4, 2),
              ElementsAre(3, 6, 9, 7, 10, 10, 20, 20));
  // Wider than the candidates: every place has the same sum.
  EXPECT_THAT(scored({.gamma = 0, .n_pool = 15}, stats, 4, 2), ElementsAre(2, 2, 2, 2, 6, 6, 6, 6));
}

TEST(Indicator, RefusesAScoreThatIsNotFinite) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    try {
      scored({.gamma = 1, .n_pool = 1}, stats_of({1, 2, 3, 4}, {0, 0, bad, 0}), 2, 2);
      ADD_FAILURE();
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), ::testing::StartsWith("kv/test: layer 3, KV head 1, entry 0: "));
    }
  }
}

TEST(LayerPreference, FollowsTheFormulaAndIsZeroWithoutSpread) {
  WindowStats stats;
  stats.entropy = 16;
  stats.variance = 0.25;
  EXPECT_DOUBLE_EQ(layer_preference(stats, 1, 1), 4);
  EXPECT_DOUBLE_EQ(layer_preference(stats, 2, 0.5), 0.25);  // sqrt(16) * 0.25^2
  stats.variance = 0;
  EXPECT_EQ(layer_preference(stats, 2, 0.5), 0);
  stats.variance = 0.25;
  stats.entropy = -1e-10;  // all attention on one entry
  EXPECT_EQ(layer_preference(stats, 3, 1), 0);
}

}  // namespace
}  // namespace reprise
