// Rows of quantised weights put into the order of integer dot products, compiled once per SIMD
// target. Include guard after Highway's convention for such headers.
#if defined(REPRISE_INT_PANEL_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef REPRISE_INT_PANEL_INL
#undef REPRISE_INT_PANEL_INL
#else
#define REPRISE_INT_PANEL_INL
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/kernels/int_dot-inl.h"
#include "core/kernels/quant_blocks-inl.h"
#include "core/kernels/rows-inl.h"
#include "core/kernels/tile_product-inl.h"
#include "ggml.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// The scalar target packs nothing: it unpacks block by block.
#if HWY_TARGET != HWY_SCALAR

// A panel holds blocks one after the other. Each is kVecs vectors of scales, as many of minima if
// the type has some, and then for every four inputs kVecs vectors whose lanes of 32 bits are rows.
inline constexpr int32_t kVecs = 3;
inline constexpr int32_t kPanelRows = kVecs * kLanes;
inline constexpr size_t kVecBytes = sizeof(float) * kLanes;
inline constexpr size_t kGroupBytes = kVecs * kVecBytes;
inline constexpr int32_t kGroups = kBlock / 4;

template <class Blocks>
inline constexpr size_t kScaleBytes = (Blocks::kMinAt != 0 ? 2 : 1) * kGroupBytes;
template <class Blocks>
inline constexpr size_t kPanelBlockBytes = kScaleBytes<Blocks> + (kGroups * kGroupBytes);

// 16 bytes of every fourth row.
template <class D>
HWY_INLINE hn::Vec<D> load_every_fourth(D d, const std::byte* from, size_t row_bytes) {
  if constexpr (hn::MaxLanes(d) <= 4) {
    const hn::Repartition<uint8_t, D> bytes;
    return hn::BitCast(d, hn::LoadU(bytes, reinterpret_cast<const uint8_t*>(from)));
  } else {
    const hn::Half<D> half;
    return hn::Combine(d, load_every_fourth(half, from + row_bytes * hn::MaxLanes(half), row_bytes),
                       load_every_fourth(half, from, row_bytes));
  }
}

// 16 bytes of kLanes rows: lane r of four[i] is word i of row r.
HWY_INLINE void load_words(const std::byte* from, size_t row_bytes, hn::Vec<I32>* four) {
  const I32 d;
  const hn::RepartitionToWide<I32> pairs;
  const auto a = load_every_fourth(d, from, row_bytes);
  const auto b = load_every_fourth(d, from + row_bytes, row_bytes);
  const auto c = load_every_fourth(d, from + 2 * row_bytes, row_bytes);
  const auto e = load_every_fourth(d, from + 3 * row_bytes, row_bytes);
  const auto ab_low = hn::BitCast(pairs, hn::InterleaveLower(d, a, b));
  const auto ce_low = hn::BitCast(pairs, hn::InterleaveLower(d, c, e));
  const auto ab_high = hn::BitCast(pairs, hn::InterleaveUpper(d, a, b));
  const auto ce_high = hn::BitCast(pairs, hn::InterleaveUpper(d, c, e));
  four[0] = hn::BitCast(d, hn::InterleaveLower(pairs, ab_low, ce_low));
  four[1] = hn::BitCast(d, hn::InterleaveUpper(pairs, ab_low, ce_low));
  four[2] = hn::BitCast(d, hn::InterleaveLower(pairs, ab_high, ce_high));
  four[3] = hn::BitCast(d, hn::InterleaveUpper(pairs, ab_high, ce_high));
}

// 4 bytes of kLanes rows.
HWY_INLINE hn::Vec<I32> load_row_words(const std::byte* from, size_t row_bytes) {
  const I32 d;
  if constexpr (kLanes > 4) {
    const auto offsets = hn::Mul(hn::Iota(d, 0), hn::Set(d, static_cast<int32_t>(row_bytes)));
    return hn::GatherOffset(d, reinterpret_cast<const int32_t*>(from), offsets);
  }
  // Targets without a gather of their own; Highway's wants aligned words.
  HWY_ALIGN int32_t words[kLanes];
  for (int32_t r = 0; r < kLanes; ++r)
    std::memcpy(words + r, from + row_bytes * r, sizeof(int32_t));
  return hn::Load(d, words);
}

// The F16 numbers in the lower and in the upper half of each lane.
HWY_INLINE hn::Vec<F32> lower_f16(hn::Vec<I32> words) {
  const hn::Rebind<uint16_t, F32> d16;
  HWY_ALIGN uint16_t bits[kLanes];
  hn::Store(hn::DemoteTo(d16, hn::And(words, hn::Set(I32(), 0xFFFF))), d16, bits);
  return F16Rows::load(F32(), reinterpret_cast<const std::byte*>(bits), 0);
}

HWY_INLINE hn::Vec<F32> upper_f16(hn::Vec<I32> words) {
  const hn::RebindToUnsigned<I32> d;
  return lower_f16(hn::BitCast(I32(), hn::ShiftRight<16>(hn::BitCast(d, words))));
}

// Vector v of a panel's block: its scales, its minima and, after them, its groups of four inputs.
HWY_INLINE void store_scales(hn::Vec<F32> scales, std::byte* to) {
  hn::StoreU(scales, F32(), reinterpret_cast<float*>(to));
}
HWY_INLINE void store_group(hn::Vec<I32> q, std::byte* groups, int32_t g) {
  const I8 d;
  hn::StoreU(hn::BitCast(d, q), d, reinterpret_cast<int8_t*>(groups + g * kGroupBytes));
}

HWY_INLINE hn::Vec<I32> low_halves(hn::Vec<I32> v) {  // of the bytes
  return hn::And(v, hn::Set(I32(), 0x0F0F0F0F));
}

// Bits [4 g, 4 g + 4) of each lane as bit 4 of its bytes.
HWY_INLINE hn::Vec<I32> fifth_bits(hn::Vec<I32> high, int32_t g) {
  const I32 d;
  const auto four = hn::And(hn::ShiftRightSame(high, 4 * g), hn::Set(d, 15));
  return hn::And(hn::ShiftLeft<4>(hn::Mul(four, hn::Set(d, 0x204081))), hn::Set(d, 0x10101010));
}

// A block of kLanes rows, `from` being that of the first, into vector v of a panel's block.
template <class Blocks>
HWY_INLINE void pack_block(const std::byte* from, size_t row_bytes, std::byte* to) {
  const I32 d;
  const I8 bytes;
  const auto scales = load_row_words(from, row_bytes);
  store_scales(lower_f16(scales), to);
  if constexpr (Blocks::kMinAt != 0) store_scales(upper_f16(scales), to + kGroupBytes);
  std::byte* groups = to + kScaleBytes<Blocks>;
  hn::Vec<I32> four[4];
  load_words(from + Blocks::kValuesAt, row_bytes, four);
  if constexpr (Blocks::kType == GGML_TYPE_Q8_0) {
    hn::Vec<I32> last[4];
    load_words(from + Blocks::kValuesAt + 16, row_bytes, last);
    for (int32_t g = 0; g < 4; ++g) {
      store_group(hn::BitCast(d, biased(hn::BitCast(bytes, four[g]))), groups, g);
      store_group(hn::BitCast(d, biased(hn::BitCast(bytes, last[g]))), groups, g + 4);
    }
    return;
  }
  auto high = hn::Zero(d);
  if constexpr (Blocks::kHighAt != 0) high = load_row_words(from + Blocks::kHighAt, row_bytes);
  for (int32_t g = 0; g < 4; ++g) {
    auto first = low_halves(four[g]);
    auto last = low_halves(hn::ShiftRight<4>(four[g]));
    if constexpr (Blocks::kHighAt != 0) {
      first = hn::Or(first, fifth_bits(high, g));
      last = hn::Or(last, fifth_bits(high, g + 4));
    }
    if constexpr (Blocks::kType == GGML_TYPE_IQ4_NL) {
      const auto table = hn::LoadDup128(bytes, kIq4NlValues.data());
      first = hn::BitCast(d, biased(hn::TableLookupBytes(table, hn::BitCast(bytes, first))));
      last = hn::BitCast(d, biased(hn::TableLookupBytes(table, hn::BitCast(bytes, last))));
    }
    store_group(first, groups, g);
    store_group(last, groups, g + 4);
  }
}

// Numbers of 6 bits of block k, one a byte: `first` holds those of blocks 0 to 3 and, above them,
// the upper two bits of blocks 4 to 7, of which `others` holds the lower four.
HWY_INLINE hn::Vec<F32> six_bits(hn::Vec<I32> first, hn::Vec<I32> others, int32_t k) {
  const I32 d;
  const int32_t at = 8 * (k % 4);
  auto six = hn::And(hn::ShiftRightSame(first, at), hn::Set(d, 63));
  if (k >= 4) {
    const auto upper = hn::And(hn::ShiftRightSame(first, at + 6), hn::Set(d, 3));
    six = hn::Or(hn::And(hn::ShiftRightSame(others, at), hn::Set(d, 15)), hn::ShiftLeft<4>(upper));
  }
  return hn::ConvertTo(F32(), six);
}

// The same for types of 8 blocks, into 8 blocks of a panel.
template <class Blocks>
HWY_INLINE void pack_eight_blocks(const std::byte* from, size_t row_bytes, std::byte* to) {
  const I32 d;
  hn::Vec<I32> head[4];
  load_words(from, row_bytes, head);
  const auto scale = lower_f16(head[0]);
  const auto min = hn::Neg(upper_f16(head[0]));
  for (int32_t k = 0; k < 8; ++k) {
    std::byte* block = to + kPanelBlockBytes<Blocks> * k;
    store_scales(hn::Mul(scale, six_bits(head[1], head[3], k)), block);
    store_scales(hn::Mul(min, six_bits(head[2], hn::ShiftRight<4>(head[3]), k)),
                 block + kGroupBytes);
  }
  for (int32_t half = 0; half < 2; ++half) {
    hn::Vec<I32> high[4];
    if constexpr (Blocks::kHighAt != 0)
      load_words(from + Blocks::kHighAt + 16 * half, row_bytes, high);
    for (int32_t k = 0; k < 8; k += 2) {
      hn::Vec<I32> four[4];
      load_words(from + Blocks::kValuesAt + kBlock / 2 * k + 16 * half, row_bytes, four);
      std::byte* groups = to + kPanelBlockBytes<Blocks> * k + kScaleBytes<Blocks>;
      for (int32_t g = 0; g < 4; ++g) {
        auto even = low_halves(four[g]);
        auto odd = low_halves(hn::ShiftRight<4>(four[g]));
        if constexpr (Blocks::kHighAt != 0) {
          const auto fifth = hn::Set(d, 0x01010101);
          const auto bits = hn::ShiftRightSame(high[g], k);
          even = hn::Or(even, hn::ShiftLeft<4>(hn::And(bits, fifth)));
          odd = hn::Or(odd, hn::ShiftLeft<4>(hn::And(hn::ShiftRight<1>(bits), fifth)));
        }
        store_group(even, groups, 4 * half + g);
        store_group(odd, groups + kPanelBlockBytes<Blocks>, 4 * half + g);
      }
    }
  }
}

// n blocks of a row; n is a multiple of Blocks::kBlocks.
template <class Blocks>
HWY_INLINE void pack_rows(const std::byte* from, size_t row_bytes, int64_t n, int32_t v,
                          std::byte* panel) {
  std::byte* to = panel + v * kVecBytes;
  for (int64_t b = 0; b < n; b += Blocks::kBlocks, from += Blocks::kBytes) {
    if constexpr (Blocks::kBlocks == 1) {
      pack_block<Blocks>(from, row_bytes, to + kPanelBlockBytes<Blocks> * b);
    } else {
      pack_eight_blocks<Blocks>(from, row_bytes, to + kPanelBlockBytes<Blocks> * b);
    }
  }
}

#endif  // HWY_TARGET != HWY_SCALAR

}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // REPRISE_INT_PANEL_INL
