#include "policies/kv/pooling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace reprise {
namespace {

// The definition, one sum after the other.
std::vector<float> plain(const std::vector<float>& values, int32_t n_pool) {
  const auto n = static_cast<int32_t>(values.size());
  std::vector<float> out;
  for (int32_t i = 0; i < n; ++i) {
    double sum = 0;
    for (int32_t u = std::max(0, i - n_pool / 2); u <= std::min(n - 1, i + n_pool / 2); ++u)
      sum += values[u];
    out.push_back(static_cast<float>(sum / n_pool));
  }
  return out;
}

// Lengths around the 256 sums that stand side by side, pools wider than what there is.
TEST(PoolAverage, EqualsThePlainLoopBitForBit) {
  std::mt19937 rng(1);
  std::lognormal_distribution<float> spread(0, 6);
  for (const size_t n : {0, 1, 2, 5, 255, 256, 257, 258, 511, 515, 1000}) {
    std::vector<float> values(n);
    for (float& value : values) value = spread(rng);
    for (const int32_t n_pool : {1, 3, 5, 15, 601}) {
      std::vector<float> got(n, -1);
      pool_average([&](size_t i) { return values[i]; }, n_pool, got);
      EXPECT_EQ(got, plain(values, n_pool)) << n << " values, pool " << n_pool;
    }
  }
}

}  // namespace
}  // namespace reprise
