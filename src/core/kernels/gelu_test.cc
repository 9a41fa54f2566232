#include "core/kernels/gelu.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "core/kernels/simd_targets_test.h"

namespace reprise {
namespace {

double exact_gelu(double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); }

void expect_near_exact(const std::vector<float>& x) {
  for_each_simd_target([&](const char* target) {
    SCOPED_TRACE(target);
    std::vector<float> y(x.size());
    gelu(x.data(), static_cast<int64_t>(x.size()), y.data());
    for (size_t i = 0; i < x.size(); ++i) {
      const double bound = 1.5e-7 + 0x1p-24 * std::abs(static_cast<double>(x[i]));
      ASSERT_NEAR(y[i], exact_gelu(x[i]), bound) << "x " << x[i];
    }
  });
}

TEST(Gelu, IsWithinItsBoundEverywhere) {
  std::vector<float> x;
  constexpr int32_t kSteps = 200001;
  x.reserve(kSteps);
  for (int32_t i = 0; i < kSteps; ++i) x.push_back(-10.0F + 20.0F * i / (kSteps - 1));
  expect_near_exact(x);
}

// Every size of number and both signs, around the polynomial's end too; odd counts for the tails.
TEST(Gelu, IsWithinItsBoundForEveryMagnitude) {
  std::vector<float> x = {0.0F, -0.0F, 6.5F, -6.5F, std::nextafter(6.5F, 7.0F)};
  for (int32_t i = -126; i < 120; ++i) {
    const float size = std::ldexp(1.3F, i);
    x.push_back(size);
    x.push_back(-size);
  }
  if (x.size() % 2 == 0) x.push_back(1.0F);
  expect_near_exact(x);
}

TEST(Gelu, CarriesWhatIsNoNumber) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<float> x = {std::numeric_limits<float>::quiet_NaN(), -kInfinity, kInfinity, 1};
  for_each_simd_target([&](const char* target) {
    SCOPED_TRACE(target);
    for (const size_t repeat : {1, 16}) {
      std::vector<float> in;
      for (size_t i = 0; i < repeat; ++i) in.insert(in.end(), x.begin(), x.end());
      std::vector<float> y(in.size());
      gelu(in.data(), static_cast<int64_t>(in.size()), y.data());
      for (size_t i = 0; i < in.size(); i += 4) {
        EXPECT_TRUE(std::isnan(y[i]));
        EXPECT_FALSE(std::isfinite(y[i + 1]));
        EXPECT_EQ(y[i + 2], kInfinity);
        EXPECT_TRUE(std::isfinite(y[i + 3]));
      }
    }
  });
}

}  // namespace
}  // namespace reprise
