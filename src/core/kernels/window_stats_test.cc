#include "core/kernels/window_stats.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/error.h"
#include "support/cake_example.h"

namespace reprise {
namespace {

TEST(WindowStats, MatchesGoldenEntropyAndVariance) {
  const double entropy[] = {98.505179, 75.235585, 57.352945};
  const double variance[] = {0.00405211, 0.08467295, 0.26248286};
  for (int il = 0; il < 3; ++il) {
    const WindowStats stats = cake_example::stats(il);
    // Inputs are rounded to F32 (2^-24 relative); the logits reach 50, hence 1e-5.
    EXPECT_NEAR(stats.entropy, entropy[il], 1e-5 * entropy[il]) << "layer " << il;
    EXPECT_NEAR(stats.variance, variance[il], 1e-5 * variance[il]) << "layer " << il;
  }
}

TEST(WindowStats, FlatKeysHaveNoVarianceBeyondTheCausalCorner) {
  // Equal keys: row r spreads evenly over n_candidates + r + 1 columns.
  const WindowShape s{
      .n_embd_head = 2, .n_head = 2, .n_head_kv = 1, .n_kv = 6, .n_window = 2, .scale = 1};
  const WindowStats stats =
      window_stats(s, std::vector<float>(8, 1.0F), std::vector<float>(12, 0.5F));
  const double a = 1.0 / 5;
  const double b = 1.0 / 6;
  EXPECT_NEAR(stats.mean[0], (a + b) / 2, 1e-7);
  EXPECT_NEAR(stats.var[3], (a - b) * (a - b) / 2, 1e-9);
  EXPECT_NEAR(stats.last[2], b, 1e-7);
  EXPECT_NEAR(stats.entropy, -2 * 4 * (a * std::log(a) + b * std::log(b)), 1e-6);
}

TEST(WindowStats, RefusesNan) {
  const WindowShape s{
      .n_embd_head = 1, .n_head = 1, .n_head_kv = 1, .n_kv = 3, .n_window = 2, .scale = 1};
  std::vector<float> k = {0, std::numeric_limits<float>::quiet_NaN(), 0};
  EXPECT_THROW(window_stats(s, std::vector<float>(2, 1.0F), k), Error);
}

}  // namespace
}  // namespace reprise
