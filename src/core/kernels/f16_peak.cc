#include "core/kernels/f16_peak.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/f16_peak.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
// After it:
#include <hwy/highway.h>

#include <vector>

#include "core/kernels/rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {
namespace {

double peak(int32_t n_rounds) {
  constexpr int32_t kRows = 8;  // sums that wait for nobody
  constexpr int32_t kWidth = 512;
  constexpr double kFlops = 2.0 * kRows * kWidth;
  constexpr uint16_t kThousandth = 0x1419;  // 1e-3
  const hn::ScalableTag<float> d;
  const std::vector<uint16_t> rows(kRows * kWidth, kThousandth);
  const std::vector<float> x(kWidth, 1e-3F);
  const auto* bytes = reinterpret_cast<const std::byte*>(rows.data());
  hn::Vec<decltype(d)> sums[kRows];
  for (auto& sum : sums) sum = hn::Zero(d);
  double done = 0;
  while (done < 1e6 * n_rounds) {
    for (int32_t i = 0; i < kWidth; i += static_cast<int32_t>(hn::Lanes(d))) {
      const auto factor = hn::LoadU(d, x.data() + i);
      for (int32_t r = 0; r < kRows; ++r) {
        const std::byte* row = bytes + r * kWidth * sizeof(uint16_t);
        sums[r] = hn::MulAdd(F16Rows::load(d, row, i), factor, sums[r]);
      }
    }
    done += kFlops;
  }
  // Every sum is used, so that none is optimised away.
  auto all = sums[0];
  for (int32_t r = 1; r < kRows; ++r) all = hn::Add(all, sums[r]);
  return hn::GetLane(hn::SumOfLanes(d, all)) > 0 ? done : 0;
}

}  // namespace
}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reprise {
namespace {

HWY_EXPORT(peak);

}  // namespace

double f16_peak(int32_t n_rounds) { return HWY_DYNAMIC_DISPATCH(peak)(n_rounds); }

}  // namespace reprise
#endif  // HWY_ONCE
