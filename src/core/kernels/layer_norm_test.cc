#include "core/kernels/layer_norm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "core/kernels/attention_reference_test.h"
#include "core/kernels/simd_targets_test.h"

namespace reprise {
namespace {

// Roundings of the mean reach every value as far as sum_error says of the row's magnitudes; the
// variance's relative error is that of its own sum plus twice that of the centred values; then come
// a division, a root, two products and an addition, each half a unit of 2^-23.
TEST(LayerNorm, EqualsTheF64Reference) {
  for (const int64_t n : {2, 3, 7, 16, 31, 32, 33, 128, 130, 768}) {
    std::mt19937 rng(static_cast<uint32_t>(n));
    constexpr int64_t kRows = 5;
    std::vector<float> x = random_values(static_cast<size_t>(n * kRows), 2, rng);
    for (int64_t i = 0; i < n; ++i) x[i] += 10;  // a row whose mean is far from zero
    const std::vector<float> weight = random_values(static_cast<size_t>(n), 1, rng);
    const std::vector<float> bias = random_values(static_cast<size_t>(n), 1, rng);
    const LayerNorm norm{weight.data(), bias.data(), n};
    for_each_simd_target([&](const char* target) {
      SCOPED_TRACE(target);
      std::vector<float> out(x.size());
      layer_norm(norm, x.data(), kRows, out.data());
      for (int64_t r = 0; r < kRows; ++r) {
        const float* row = x.data() + r * n;
        double mean = 0;
        double magnitude = 0;
        double squares = 0;
        for (int64_t i = 0; i < n; ++i) mean += row[i] / static_cast<double>(n);
        for (int64_t i = 0; i < n; ++i) magnitude += std::abs(row[i]) / static_cast<double>(n);
        for (int64_t i = 0; i < n; ++i) squares += std::pow(row[i] - mean, 2);
        const double deviation = std::sqrt(squares / static_cast<double>(n) + norm.eps);
        const double mean_error = (sum_error(n) + 2 * kUnit) * magnitude;
        const double relative = sum_error(n) + 6 * kUnit + 2 * mean_error / deviation;
        for (int64_t i = 0; i < n; ++i) {
          const double scaled = (row[i] - mean) / deviation;
          const double want = scaled * weight[i] + bias[i];
          const double bound =
              std::abs(weight[i]) * (std::abs(scaled) * relative +
                                     (mean_error + kUnit * std::abs(row[i] - mean)) / deviation) +
              kUnit * std::abs(want);
          ASSERT_NEAR(out[r * n + i], want, bound) << "n " << n << " row " << r << " value " << i;
        }
      }
    });
  }
}

TEST(LayerNorm, MayWriteOverItsInputAndKeepsNanInItsRow) {
  const std::vector<float> weight(40, 1.5F);
  const std::vector<float> bias(40, 0.5F);
  const LayerNorm norm{weight.data(), bias.data(), 40};
  std::mt19937 rng(1);
  std::vector<float> x = random_values(120, 1, rng);
  x[50] = std::numeric_limits<float>::quiet_NaN();
  for_each_simd_target([&](const char* target) {
    SCOPED_TRACE(target);
    std::vector<float> apart(x.size());
    layer_norm(norm, x.data(), 3, apart.data());
    std::vector<float> in_place = x;
    layer_norm(norm, in_place.data(), 3, in_place.data());
    for (size_t i = 0; i < x.size(); ++i) {
      const bool is_broken = i / 40 == 1;
      EXPECT_EQ(std::isnan(in_place[i]), is_broken);
      if (!is_broken) {
        EXPECT_EQ(in_place[i], apart[i]);
      }
    }
  });
}

}  // namespace
}  // namespace reprise
