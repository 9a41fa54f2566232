// Rows of a KV cache as vectors of F32, compiled once per SIMD target.
#if defined(REPRISE_ROWS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef REPRISE_ROWS_INL
#undef REPRISE_ROWS_INL
#else
#define REPRISE_ROWS_INL
#endif

#include <hwy/highway.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "ggml.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// n rows of one KV head, read one after the other, and what is read after them.
struct RowRun {
  const std::byte* first;
  size_t row_bytes;
  int32_t n;
  const std::byte* next;

  HWY_INLINE const std::byte* at(int32_t i) const {
    return first + row_bytes * static_cast<size_t>(i);
  }
  // Asks for what follows n_rows rows from row i on after some rows more: the hardware alone looks
  // too short a way ahead to keep the memory busy.
  HWY_INLINE void prefetch(int32_t i, int32_t n_rows) const {
    constexpr size_t kCacheLine = 64;
    constexpr size_t kAhead = 4096;
    const std::byte* from = at(i) + kAhead;
    const std::byte* end = at(n);
    for (size_t x = 0; x < row_bytes * static_cast<size_t>(n_rows); x += kCacheLine)
      // Into the second cache: it keeps more requests under way than the first, which would not
      // hold what comes that early.
      __builtin_prefetch(from + x < end ? from + x : next + (from + x - end), 0, 2);
  }
};

// Each loads Lanes(d) values from value i of a row on. Block types: ggml's Q8_0 and Q4_0, 32 values
// behind one F16 scale; Lanes(d) divides 32 and i.
struct F32Rows {
  static constexpr ggml_type kType = GGML_TYPE_F32;
  template <class D>
  static HWY_INLINE hn::Vec<D> load(D d, const std::byte* row, int32_t i) {
    return hn::LoadU(d, reinterpret_cast<const float*>(row) + i);
  }
};

// The F16 numbers in the lower half of each lane.
template <class D>
HWY_INLINE hn::Vec<D> f32_of_halves(D d, hn::Vec<hn::RebindToUnsigned<D>> bits) {
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_SSSE3 || HWY_TARGET == HWY_SSE4
  // Without an instruction for it; Highway's own way makes infinity and NaN finite.
  const hn::RebindToUnsigned<D> words;
  const auto magnitude = hn::ShiftLeft<13>(hn::And(bits, hn::Set(words, 0x7FFFU)));
  const auto finite = hn::Mul(hn::BitCast(d, magnitude), hn::Set(d, 0x1p112F));
  const auto exponent = hn::Set(words, 0x7C00U);
  const auto is_special = hn::RebindMask(d, hn::Eq(hn::And(bits, exponent), exponent));
  const auto special = hn::BitCast(d, hn::Or(magnitude, hn::Set(words, 0x7F800000U)));
  const auto sign = hn::BitCast(d, hn::ShiftLeft<16>(hn::And(bits, hn::Set(words, 0x8000U))));
  return hn::Or(hn::IfThenElse(is_special, special, finite), sign);
#else
  const hn::Rebind<hwy::float16_t, D> half;
  return hn::PromoteTo(d, hn::BitCast(half, hn::TruncateTo(hn::Rebind<uint16_t, D>(), bits)));
#endif
}

struct F16Rows {
  static constexpr ggml_type kType = GGML_TYPE_F16;
  template <class D>
  static HWY_INLINE hn::Vec<D> load(D d, const std::byte* row, int32_t i) {
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_SSSE3 || HWY_TARGET == HWY_SSE4
    const hn::Rebind<uint16_t, D> half;
    const hn::RebindToUnsigned<D> words;
    return f32_of_halves(
        d, hn::PromoteTo(words, hn::LoadU(half, reinterpret_cast<const uint16_t*>(row) + i)));
#else
    const hn::Rebind<hwy::float16_t, D> half;
    return hn::PromoteTo(d, hn::LoadU(half, reinterpret_cast<const hwy::float16_t*>(row) + i));
#endif
  }
};

// The F16 scale of a block.
HWY_INLINE float scale_of(const std::byte* block) {
  uint16_t bits = 0;
  std::memcpy(&bits, block, sizeof(bits));
  // Exponent and mantissa moved into place, then rebased by a product that also normalises;
  // infinity and NaN keep the largest exponent.
  const uint32_t magnitude = static_cast<uint32_t>(bits & 0x7FFFU) << 13;
  const float value = (bits & 0x7C00U) == 0x7C00U ? std::bit_cast<float>(magnitude | 0x7F800000U)
                                                  : std::bit_cast<float>(magnitude) * 0x1p112F;
  return (bits & 0x8000U) != 0 ? -value : value;
}

struct Q8Rows {
  static constexpr ggml_type kType = GGML_TYPE_Q8_0;
  template <class D>
  static HWY_INLINE hn::Vec<D> load(D d, const std::byte* row, int32_t i) {
    const std::byte* block = row + static_cast<ptrdiff_t>(i / 32) * 34;
    const hn::Rebind<int8_t, D> bytes;
    const hn::RebindToSigned<D> ints;
    const auto values =
        hn::PromoteTo(ints, hn::LoadU(bytes, reinterpret_cast<const int8_t*>(block) + 2 + i % 32));
    return hn::Mul(hn::ConvertTo(d, values), hn::Set(d, scale_of(block)));
  }
};

struct Q4Rows {
  static constexpr ggml_type kType = GGML_TYPE_Q4_0;
  // Byte j of a block holds values j (low) and j + 16 (high).
  template <class D>
  static HWY_INLINE hn::Vec<D> load(D d, const std::byte* row, int32_t i) {
    const std::byte* block = row + static_cast<ptrdiff_t>(i / 32) * 18;
    const hn::Rebind<uint8_t, D> bytes;
    const hn::RebindToSigned<D> ints;
    const auto pairs =
        hn::PromoteTo(ints, hn::LoadU(bytes, reinterpret_cast<const uint8_t*>(block) + 2 + i % 16));
    const auto nibbles = i % 32 < 16 ? hn::And(pairs, hn::Set(ints, 15)) : hn::ShiftRight<4>(pairs);
    const auto values = hn::Sub(nibbles, hn::Set(ints, 8));
    return hn::Mul(hn::ConvertTo(d, values), hn::Set(d, scale_of(block)));
  }
};

}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // REPRISE_ROWS_INL
