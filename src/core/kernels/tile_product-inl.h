// Products of small matrices in registers, compiled once per SIMD target. Include guard after
// Highway's convention for such headers.
#if defined(REPRISE_TILE_PRODUCT_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef REPRISE_TILE_PRODUCT_INL
#undef REPRISE_TILE_PRODUCT_INL
#else
#define REPRISE_TILE_PRODUCT_INL
#endif

#include <hwy/highway.h>

#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using F32 = hn::ScalableTag<float>;
inline constexpr int32_t kLanes = static_cast<int32_t>(hn::MaxLanes(F32()));
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_SSSE3
inline constexpr int32_t kRegisters = 16;
#else
inline constexpr int32_t kRegisters = 32;
#endif

// A is read one value at a time: value k of row r stands at a[r * row + k * step].
struct TileA {
  const float* a;
  int64_t row;
  int64_t step;
};

enum class TileInto : uint8_t { kZero, kSum };

// C[kRows, kVecs vectors] = A B, or += A B. B has n_k rows, `b_row` values apart; C's rows are
// `c_row` values apart.
template <int32_t kRows, int32_t kVecs>
HWY_INLINE void tile_product(const TileA& a, const float* HWY_RESTRICT b, int64_t b_row,
                             int32_t n_k, float* HWY_RESTRICT c, int64_t c_row, TileInto into) {
  const F32 d;
  hn::Vec<F32> sum[kRows][kVecs];
  for (int32_t r = 0; r < kRows; ++r) {
    for (int32_t v = 0; v < kVecs; ++v) {
      sum[r][v] = into == TileInto::kZero ? hn::Zero(d) : hn::LoadU(d, c + r * c_row + v * kLanes);
    }
  }
  for (int32_t k = 0; k < n_k; ++k) {
    hn::Vec<F32> row[kVecs];
    for (int32_t v = 0; v < kVecs; ++v) row[v] = hn::LoadU(d, b + k * b_row + v * kLanes);
    for (int32_t r = 0; r < kRows; ++r) {
      const auto value = hn::Set(d, a.a[r * a.row + k * a.step]);
      for (int32_t v = 0; v < kVecs; ++v) sum[r][v] = hn::MulAdd(value, row[v], sum[r][v]);
    }
  }
  for (int32_t r = 0; r < kRows; ++r) {
    for (int32_t v = 0; v < kVecs; ++v) hn::StoreU(sum[r][v], d, c + r * c_row + v * kLanes);
  }
}

// The same for any number of rows; kRows at a time, then one by one.
template <int32_t kRows, int32_t kVecs>
HWY_INLINE void column_product(TileA a, int32_t n_rows, const float* HWY_RESTRICT b, int64_t b_row,
                               int32_t n_k, float* HWY_RESTRICT c, int64_t c_row, TileInto into) {
  int32_t r = 0;
  for (; r + kRows <= n_rows; r += kRows) {
    tile_product<kRows, kVecs>({a.a + r * a.row, a.row, a.step}, b, b_row, n_k, c + r * c_row,
                               c_row, into);
  }
  for (; r < n_rows; ++r) {
    tile_product<1, kVecs>({a.a + r * a.row, a.row, a.step}, b, b_row, n_k, c + r * c_row, c_row,
                           into);
  }
}

}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // REPRISE_TILE_PRODUCT_INL
