#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <vector>

#include "core/kernels/attention_reference_test.h"
#include "core/kernels/simd_targets_test.h"
#include "core/kernels/token_matvec.h"

namespace reprise {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr int64_t kBlock = 32;

// What a block of 32 values becomes under every target: f(target, q, scale, scaled_sum).
template <class F>
void for_rounded_block(const std::vector<float>& block, F&& f) {
  for_each_simd_target([&](const char* target) {
    // Between two others, which must not care.
    std::vector<float> x(3 * kBlock, 254);
    std::copy(block.begin(), block.end(), x.begin() + kBlock);
    constexpr std::byte kGuard{0xA5};
    std::vector<std::byte> memory(rounded_token_bytes(3 * kBlock) + 64, kGuard);
    const RoundedToken t = round_token(x.data(), 3 * kBlock, memory.data());
    EXPECT_EQ(std::count(memory.end() - 64, memory.end(), kGuard), 64)
        << target << ": round_token writes behind its bytes";
    for (const int64_t b : {0, 2}) {
      EXPECT_EQ(t.scale[b], 2) << target;
      EXPECT_EQ(t.sum[b], 127 * kBlock) << target;
      EXPECT_EQ(t.scaled_sum[b], 254 * kBlock) << target;
    }
    const std::vector<int8_t> q(t.q + kBlock, t.q + 2 * kBlock);
    int32_t sum = 0;
    for (const int8_t v : q) {
      EXPECT_GE(v, -127) << target;
      sum += v;
    }
    EXPECT_EQ(t.sum[1], sum) << target;
    const float scaled_sum = t.scale[1] * static_cast<float>(sum);
    EXPECT_TRUE(t.scaled_sum[1] == scaled_sum || std::isnan(scaled_sum)) << target;
    f(target, q, t.scale[1], t.scaled_sum[1]);
  });
}

TEST(RoundToken, RoundsHalvesToEven) {
  std::vector<float> x(kBlock, 0);
  const float values[] = {127, 0.5F, 1.5F, 2.5F, -0.5F, -1.5F, -126.5F, 0.4999F, 100.5001F};
  const int8_t want[] = {127, 0, 2, 2, 0, -2, -126, 0, 101};
  std::copy(std::begin(values), std::end(values), x.begin());
  for_rounded_block(x, [&](const char* target, const auto& q, float scale, float scaled_sum) {
    EXPECT_EQ(scale, 1) << target;
    EXPECT_EQ(scaled_sum, 104) << target;
    for (size_t i = 0; i < std::size(want); ++i) EXPECT_EQ(q[i], want[i]) << target << " " << i;
  });
}

TEST(RoundToken, TakesEveryMagnitude) {
  constexpr float kMax = std::numeric_limits<float>::max();
  for (const float max : {kMax, 1e30F, 1.0F, 1e-30F, 0x1.8p-120F}) {
    for (const float sign : {-1.0F, 1.0F}) {
      std::vector<float> x(kBlock);
      for (int64_t i = 0; i < kBlock; ++i)
        x[i] = sign * max * (1 - static_cast<float>(i * i) / 512);
      for_rounded_block(x, [&](const char* target, const auto& q, float scale, float /*sum*/) {
        // A scale below the normal numbers is rounded to a multiple of the smallest.
        const double scale_error = kUnit * max / 127 + 0x1p-150;
        EXPECT_NEAR(scale, static_cast<double>(max) / 127, scale_error) << target;
        for (int64_t i = 0; i < kBlock; ++i) {
          EXPECT_NEAR(static_cast<double>(scale) * q[i], x[i],
                      (0.5 + 3 * 127 * kUnit) * max / 127 + 127 * scale_error)
              << target << " max " << max << " value " << i;
        }
      });
    }
  }
}

// They are nothing beside any weight, and the inverse of their scale would be infinite.
TEST(RoundToken, TakesZerosAndTheTiniestForZero) {
  for (const float value : {0.0F, -0.0F, 0x1p-120F, -0x1p-126F, 0x1p-149F}) {
    for_rounded_block(std::vector<float>(kBlock, value),
                      [&](const char* target, const auto& q, float scale, float scaled_sum) {
                        EXPECT_EQ(scale, 0) << target << " " << value;
                        EXPECT_EQ(scaled_sum, 0) << target << " " << value;
                        EXPECT_EQ(std::count(q.begin(), q.end(), 0), kBlock) << target;
                      });
  }
}

TEST(RoundToken, ShowsNanAndInfinityInTheirBlock) {
  for (const float bad : {kNan, -kNan, std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    for (int64_t at = 0; at < kBlock; ++at) {
      std::vector<float> x(kBlock, 1);
      x[at] = bad;
      x[kBlock - 1 - at] = bad;
      for_rounded_block(x, [&](const char* target, const auto& /*q*/, float scale, float sum) {
        EXPECT_TRUE(std::isnan(scale)) << target << " " << bad << " at " << at;
        EXPECT_TRUE(std::isnan(sum)) << target << " " << bad << " at " << at;
      });
    }
  }
}

}  // namespace
}  // namespace reprise
