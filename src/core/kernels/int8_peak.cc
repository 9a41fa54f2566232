#include "core/kernels/int8_peak.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/int8_peak.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
// After it:
#include <hwy/highway.h>

#include <algorithm>
#include <vector>

#include "core/kernels/int_dot-inl.h"
#include "core/kernels/tile_product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {
namespace {

constexpr int32_t kRows = kRegisters == 32 ? 8 : 4;
constexpr int32_t kVecs = kRegisters == 32 ? 3 : 2;
constexpr int32_t kDepth = 64;                 // groups of four bytes
constexpr int32_t kColumns = kVecs * kLanes;   // of 32 bits
constexpr int32_t kWords = kDepth * kColumns;  // of w

#if HWY_TARGET == HWY_SCALAR
void product(const int8_t* w, const int8_t* x, int32_t* sums) {
  for (int32_t k = 0; k < kDepth; ++k) {
    for (int32_t r = 0; r < kRows; ++r) {
      for (int32_t c = 0; c < kColumns; ++c) {
        for (int32_t i = 0; i < 4; ++i)
          sums[r * kColumns + c] += w[4 * (k * kColumns + c) + i] * x[4 * (r * kDepth + k) + i];
      }
    }
  }
}
#else
void product(const int8_t* HWY_RESTRICT w, const int8_t* HWY_RESTRICT x,
             int32_t* HWY_RESTRICT sums) {
  const I32 d;
  const I8 bytes;
  hn::Vec<I32> sum[kRows][kVecs];
  for (auto& row : sum) std::fill_n(row, kVecs, hn::Zero(d));
  for (int32_t k = 0; k < kDepth; ++k) {
    hn::Vec<I8> column[kVecs];
    for (int32_t v = 0; v < kVecs; ++v)
      column[v] = hn::LoadU(bytes, w + 4 * (k * kColumns + v * kLanes));
    for (int32_t r = 0; r < kRows; ++r) {
      int32_t four = 0;
      std::copy_n(x + 4 * (r * kDepth + k), 4, reinterpret_cast<int8_t*>(&four));
      const auto value = hn::BitCast(bytes, hn::Set(d, four));
      for (int32_t v = 0; v < kVecs; ++v) sum[r][v] = dot4(sum[r][v], column[v], value);
    }
  }
  for (int32_t r = 0; r < kRows; ++r) {
    for (int32_t v = 0; v < kVecs; ++v) {
      int32_t* to = sums + r * kColumns + v * kLanes;
      hn::StoreU(hn::Add(hn::LoadU(d, to), sum[r][v]), d, to);
    }
  }
}
#endif

double peak(int32_t n_rounds) {
  constexpr double kOps = 2.0 * kRows * kColumns * kDepth * 4;
  const std::vector<int8_t> w(4 * kWords, 1);
  std::vector<int8_t> x(4 * kRows * kDepth, 1);
  std::vector<int32_t> sums(kRows * kColumns);
  double done = 0;
  for (bool is_odd = false; done < 1e6 * n_rounds; is_odd = !is_odd) {
    std::fill(x.begin(), x.end(), static_cast<int8_t>(is_odd ? -1 : 1));  // sums stay small
    product(w.data(), x.data(), sums.data());
    done += kOps;
  }
  // The result is used, so that nothing is optimised away; VNNI adds a bias to w.
  return std::ranges::all_of(sums, [](int32_t sum) { return sum >= 0; }) ? done : 0;
}

}  // namespace
}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reprise {
namespace {

HWY_EXPORT(peak);

}  // namespace

double int8_peak(int32_t n_rounds) { return HWY_DYNAMIC_DISPATCH(peak)(n_rounds); }

}  // namespace reprise
#endif  // HWY_ONCE
