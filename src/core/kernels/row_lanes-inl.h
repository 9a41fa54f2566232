// As many rows of a weight matrix as a vector has lanes of 32 bits, compiled once per SIMD target.
#if defined(REPRISE_ROW_LANES_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef REPRISE_ROW_LANES_INL
#undef REPRISE_ROW_LANES_INL
#else
#define REPRISE_ROW_LANES_INL
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/kernels/int_dot-inl.h"
#include "core/kernels/rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {

#if HWY_TARGET != HWY_SCALAR

using F32 = hn::ScalableTag<float>;
using U32 = hn::ScalableTag<uint32_t>;
inline constexpr int64_t kRows = hn::MaxLanes(I32());  // that are computed together
inline constexpr int64_t kQuarter = kRows / 4;         // 128-bit blocks of a vector

// 16 bytes from each of n places, side by side.
template <int64_t n>
HWY_INLINE auto load_side_by_side(const std::byte* const* from, size_t at) {
  const hn::CappedTag<uint8_t, 16 * n> d;
  if constexpr (n == 1) {
    return hn::LoadU(d, reinterpret_cast<const uint8_t*>(from[0]) + at);
  } else {
    return hn::Combine(d, load_side_by_side<n / 2>(from + n / 2, at),
                       load_side_by_side<n / 2>(from, at));
  }
}

// Four bytes from each of kRows rows.
HWY_INLINE hn::Vec<U32> load_heads(const std::byte* first, size_t row_bytes) {
#if HWY_TARGET == HWY_AVX3_DL || HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
  const I32 d;
  const auto offsets = hn::Mul(hn::Iota(d, 0), hn::Set(d, static_cast<int32_t>(row_bytes)));
#if HWY_TARGET == HWY_AVX2
  return hn::Vec<U32>{_mm256_i32gather_epi32(reinterpret_cast<const int*>(first), offsets.raw, 1)};
#else
  return hn::Vec<U32>{_mm512_i32gather_epi32(offsets.raw, first, 1)};
#endif
#else
  alignas(16) std::array<uint32_t, kRows> heads;
  for (int64_t r = 0; r < kRows; ++r) std::memcpy(&heads[r], first + row_bytes * r, 4);
  return hn::Load(U32(), heads.data());
#endif
}

// Block k of vector i holds four partial sums of row 4 k + i: their sums, a lane a row.
HWY_INLINE hn::Vec<I32> sum_rows(const hn::Vec<I32> (&v)[4]) {
  const I32 d;
  const hn::Repartition<int64_t, I32> pairs;
  const auto ab = hn::BitCast(
      pairs, hn::Add(hn::InterleaveLower(d, v[0], v[1]), hn::InterleaveUpper(d, v[0], v[1])));
  const auto ce = hn::BitCast(
      pairs, hn::Add(hn::InterleaveLower(d, v[2], v[3]), hn::InterleaveUpper(d, v[2], v[3])));
  return hn::Add(hn::BitCast(d, hn::InterleaveLower(pairs, ab, ce)),
                 hn::BitCast(d, hn::InterleaveUpper(pairs, ab, ce)));
}

// Dwords c of 16 bytes from each of kRows rows, a lane a row. v: as sum_rows() wants them.
struct FourDwords {
  hn::Vec<U32> at[4];
};
HWY_INLINE FourDwords transpose(const hn::Vec<U32> (&v)[4]) {
  const U32 d;
  const hn::Repartition<uint64_t, U32> pairs;
  const auto pair = [&](hn::Vec<U32> x) { return hn::BitCast(pairs, x); };
  const auto ab = pair(hn::InterleaveLower(d, v[0], v[1]));
  const auto ce = pair(hn::InterleaveLower(d, v[2], v[3]));
  const auto ab_high = pair(hn::InterleaveUpper(d, v[0], v[1]));
  const auto ce_high = pair(hn::InterleaveUpper(d, v[2], v[3]));
  return {{hn::BitCast(d, hn::InterleaveLower(pairs, ab, ce)),
           hn::BitCast(d, hn::InterleaveUpper(pairs, ab, ce)),
           hn::BitCast(d, hn::InterleaveLower(pairs, ab_high, ce_high)),
           hn::BitCast(d, hn::InterleaveUpper(pairs, ab_high, ce_high))}};
}

// Asks for what is read some rows later, in the order of memory: the hardware alone follows too few
// rows at a time.
template <int64_t n_bytes>
HWY_INLINE void prefetch(const std::byte* from) {
  for (int64_t at = 0; at < n_bytes; at += 64) hwy::Prefetch(from + at);
}

#endif  // HWY_TARGET != HWY_SCALAR

// y[0 .. n) = rows [first, first + n): group(row, y) computes kRows of them, plain(row) one.
template <class Group, class Plain>
HWY_INLINE void rows_in_groups(int64_t first, int64_t n, float* y, Group&& group, Plain&& plain) {
  int64_t i = 0;
#if HWY_TARGET != HWY_SCALAR
  for (; i + kRows <= n; i += kRows) group(first + i, y + i);
  if (i < n && first + n >= kRows) {  // the last ones, with rows in front of them again
    std::array<float, kRows> last;
    group(first + n - kRows, last.data());
    std::copy(last.end() - (n - i), last.end(), y + i);
    return;
  }
#else
  (void)group;
#endif
  for (; i < n; ++i) y[i] = plain(first + i);
}

}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // REPRISE_ROW_LANES_INL
