#include "core/arithmetic_peak.h"

#include <gtest/gtest.h>

#include "core/kernels/f16_peak.h"
#include "core/kernels/f32_peak.h"
#include "core/kernels/int8_peak.h"
#include "core/kernels/simd_targets_test.h"

namespace reprise {
namespace {

// A loop whose result nobody could use would end at once, and one that is wrong returns 0.
TEST(ArithmeticPeak, DoesWhatItCountsUnderEveryTarget) {
  for_each_simd_target([](const char* target) {
    for (const auto peak : {f32_peak, f16_peak, int8_peak}) {
      const double done = peak(2);
      EXPECT_GE(done, 2e6) << target;
      EXPECT_LT(done, 4e6) << target;
    }
  });
}

// No core makes less than a million operations a second, and none a million billion.
TEST(ArithmeticPeak, IsPlausible) {
  const Backend backend(1);
  for (const Arithmetic arithmetic : kAllArithmetic) {
    const double ops_s = ArithmeticPeak(backend, arithmetic).measure();
    EXPECT_GT(ops_s, 1e6) << arithmetic_name(arithmetic);
    EXPECT_LT(ops_s, 1e15) << arithmetic_name(arithmetic);
  }
}

}  // namespace
}  // namespace reprise
