#include "core/kernels/f32_peak.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/f32_peak.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
// After it:
#include <hwy/highway.h>

#include <vector>

#include "core/kernels/tile_product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {
namespace {

double peak(int32_t n_rounds) {
  constexpr int32_t kRows = kRegisters == 32 ? 8 : 4;
  constexpr int32_t kVecs = 3;
  constexpr int32_t kWidth = kVecs * kLanes;
  constexpr int32_t kTall = 8 * kRows;
  constexpr int32_t kDepth = 64;
  constexpr double kFlops = 2.0 * kTall * kDepth * kWidth;
  const std::vector<float> a(kTall * kDepth, 1e-3F);
  const std::vector<float> b(kDepth * kWidth, 1e-3F);
  std::vector<float> c(kTall * kWidth);
  double done = 0;
  while (done < 1e6 * n_rounds) {
    column_product<kRows, kVecs>({a.data(), kDepth, 1}, kTall, b.data(), kWidth, kDepth, c.data(),
                                 kWidth, TileInto::kZero);
    done += kFlops;
  }
  return c[0] > 0 ? done : 0;  // the result is used, so that nothing is optimised away
}

}  // namespace
}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reprise {
namespace {

HWY_EXPORT(peak);

}  // namespace

double f32_peak(int32_t n_rounds) { return HWY_DYNAMIC_DISPATCH(peak)(n_rounds); }

}  // namespace reprise
#endif  // HWY_ONCE
