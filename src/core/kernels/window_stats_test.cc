#include "core/kernels/window_stats.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/error.h"

namespace reprise {
namespace {

constexpr WindowShape kGolden{.n_embd_head = 8,
                              .n_head = 4,
                              .n_head_kv = 2,
                              .n_kv = 40,
                              .n_window = 8,
                              .scale = 0.35355339059327373F};

// The worked example of ../shared/specs/cake.md, section 7.3 (double precision, two independent
// programs).
WindowStats golden_layer(int il) {
  const double amplitude[] = {0.6, 1.5, 2.6};
  const WindowShape& s = kGolden;
  std::vector<float> q;
  std::vector<float> k;
  for (int h = 0; h < s.n_head; ++h) {
    for (int i = s.n_candidates(); i < s.n_kv; ++i) {
      for (int x = 0; x < s.n_embd_head; ++x) {
        q.push_back(
            static_cast<float>(amplitude[il] * std::sin(0.7 * il + 1.3 * h + 0.31 * i + 0.9 * x)));
      }
    }
  }
  for (int g = 0; g < s.n_head_kv; ++g) {
    for (int j = 0; j < s.n_kv; ++j) {
      for (int x = 0; x < s.n_embd_head; ++x) {
        k.push_back(
            static_cast<float>(amplitude[il] * std::cos(0.5 * il + 0.8 * g + 0.17 * j + 0.6 * x)));
      }
    }
  }
  return window_stats(s, q, k);
}

TEST(WindowStats, MatchesGoldenEntropyAndVariance) {
  const double entropy[] = {98.505179, 75.235585, 57.352945};
  const double variance[] = {0.00405211, 0.08467295, 0.26248286};
  for (int il = 0; il < 3; ++il) {
    const WindowStats stats = golden_layer(il);
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
