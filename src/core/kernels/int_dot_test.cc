#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/int_dot_test.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
// After it:
#include <gtest/gtest.h>
#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <random>

#include "core/kernels/int_dot-inl.h"
#include "core/kernels/simd_targets_test.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {
namespace {

// Dot products of random bytes, after all pairs of extremes. Returns whether the target has any.
bool compare_with_plain_loop(const char* target) {
#if HWY_TARGET == HWY_SCALAR
  (void)target;
  return false;
#else
  constexpr int32_t kRounds = 2000;
  const I8 bytes;
  const I32 ints;
  const auto n_lanes = static_cast<int32_t>(hn::Lanes(ints));
  std::mt19937 rng(7);
  std::uniform_int_distribution<int32_t> any(-128, 127);
  std::array<int8_t, 64> w{};
  std::array<int8_t, 64> u{};
  std::array<int8_t, 64> x{};
  std::array<int32_t, 16> got{};
  std::array<int32_t, 16> got_u7{};
  for (int32_t round = 0; round < kRounds; ++round) {
    for (size_t i = 0; i < w.size(); ++i) {
      const bool is_extreme = round < 4;
      w[i] = static_cast<int8_t>(!is_extreme ? any(rng) : round % 2 == 0 ? -128 : 127);
      x[i] = static_cast<int8_t>(!is_extreme ? std::max(any(rng), -127) : round < 2 ? -127 : 127);
      u[i] = static_cast<int8_t>(!is_extreme ? any(rng) & 127 : 127);
    }
    const auto start = hn::Set(ints, round);
    const auto loaded = hn::LoadU(bytes, x.data());
    hn::StoreU(dot4(start, biased(hn::LoadU(bytes, w.data())), loaded), ints, got.data());
    hn::StoreU(dot4_u7(start, hn::LoadU(bytes, u.data()), loaded), ints, got_u7.data());
    for (int32_t lane = 0; lane < n_lanes; ++lane) {
      int32_t want = round;
      int32_t want_u7 = round;
      for (int32_t i = 4 * lane; i < 4 * lane + 4; ++i) {
        want += (w[i] + kDotBias) * x[i];
        want_u7 += u[i] * x[i];
      }
      EXPECT_EQ(got[lane], want) << target << " round " << round << " lane " << lane;
      EXPECT_EQ(got_u7[lane], want_u7) << target << " round " << round << " lane " << lane;
    }
  }
  return true;
#endif
}

}  // namespace
}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reprise {
namespace {

HWY_EXPORT(compare_with_plain_loop);

TEST(IntDot, EqualsAPlainLoopUnderEveryTarget) {
  int32_t n_compared = 0;
  for_each_simd_target([&](const char* target) {
    n_compared += HWY_DYNAMIC_DISPATCH(compare_with_plain_loop)(target) ? 1 : 0;
  });
#if HWY_ARCH_X86
  EXPECT_GE(n_compared, 1);
#endif
}

}  // namespace
}  // namespace reprise
#endif  // HWY_ONCE
