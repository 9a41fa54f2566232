// Rows of quantised weights put into the order of integer dot products, compiled once per SIMD
// target. Include guard after Highway's convention for such headers.
#if defined(REPRISE_INT_PANEL_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef REPRISE_INT_PANEL_INL
#undef REPRISE_INT_PANEL_INL
#else
#define REPRISE_INT_PANEL_INL
#endif

#include <hwy/highway.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/kernels/int_dot-inl.h"
#include "core/kernels/rows-inl.h"
#include "core/kernels/tile_product-inl.h"
#include "ggml.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

inline constexpr int32_t kBlock = 32;  // values behind one scale

// ggml's blocks. A weight is scale * (q - kZero) + min, with q in 0..31, or scale * q with signed
// q. Byte j of 4-bit values holds values j (low) and j + 16 (high); bit i of the word kHighAt is
// bit 4 of value i. Offsets of 0: the block has none.
struct Q4_0Blocks {
  static constexpr ggml_type kType = GGML_TYPE_Q4_0;
  static constexpr size_t kBytes = 18, kMinAt = 0, kHighAt = 0, kValuesAt = 2;
  static constexpr int32_t kZero = 8;
  static constexpr bool kIsSigned = false;
};
struct Q4_1Blocks {
  static constexpr ggml_type kType = GGML_TYPE_Q4_1;
  static constexpr size_t kBytes = 20, kMinAt = 2, kHighAt = 0, kValuesAt = 4;
  static constexpr int32_t kZero = 0;
  static constexpr bool kIsSigned = false;
};
struct Q5_0Blocks {
  static constexpr ggml_type kType = GGML_TYPE_Q5_0;
  static constexpr size_t kBytes = 22, kMinAt = 0, kHighAt = 2, kValuesAt = 6;
  static constexpr int32_t kZero = 16;
  static constexpr bool kIsSigned = false;
};
struct Q5_1Blocks {
  static constexpr ggml_type kType = GGML_TYPE_Q5_1;
  static constexpr size_t kBytes = 24, kMinAt = 2, kHighAt = 4, kValuesAt = 8;
  static constexpr int32_t kZero = 0;
  static constexpr bool kIsSigned = false;
};
struct Q8_0Blocks {
  static constexpr ggml_type kType = GGML_TYPE_Q8_0;
  static constexpr size_t kBytes = 34, kMinAt = 0, kHighAt = 0, kValuesAt = 2;
  static constexpr int32_t kZero = 0;
  static constexpr bool kIsSigned = true;
};
struct Iq4NlBlocks {
  static constexpr ggml_type kType = GGML_TYPE_IQ4_NL;
  static constexpr size_t kBytes = 18, kMinAt = 0, kHighAt = 0, kValuesAt = 2;
  static constexpr int32_t kZero = 0;
  static constexpr bool kIsSigned = true;
};

// What the 4 bits of IQ4_NL stand for.
inline constexpr std::array<int8_t, 16> kIq4NlValues = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                        1,    13,   25,  38,  53,  69,  89,  113};

#if HWY_TARGET == HWY_SCALAR

// The integers of a block in their order, less kZero.
template <class Blocks>
void unpack_block(const std::byte* block, int8_t* q) {
  const auto* values = reinterpret_cast<const uint8_t*>(block + Blocks::kValuesAt);
  if constexpr (Blocks::kType == GGML_TYPE_Q8_0) {
    std::memcpy(q, values, kBlock);
    return;
  }
  uint32_t high = 0;
  if (Blocks::kHighAt != 0) std::memcpy(&high, block + Blocks::kHighAt, sizeof(high));
  for (int32_t i = 0; i < kBlock; ++i) {
    const int32_t low = i < 16 ? values[i] & 15 : values[i - 16] >> 4;
    q[i] = Blocks::kType == GGML_TYPE_IQ4_NL
               ? kIq4NlValues[low]
               : static_cast<int8_t>((low | static_cast<int32_t>((high >> i) & 1U) << 4) -
                                     Blocks::kZero);
  }
}

#else

// A panel holds blocks one after the other. Each is kVecs vectors of scales, as many of minima if
// the type has some, and then for every four inputs kVecs vectors whose lanes of 32 bits are rows.
inline constexpr int32_t kVecs = 3;
inline constexpr int32_t kPanelRows = kVecs * kLanes;
inline constexpr size_t kVecBytes = sizeof(float) * kLanes;
inline constexpr size_t kGroupBytes = kVecs * kVecBytes;
inline constexpr int32_t kGroups = kBlock / 4;

template <class Blocks>
inline constexpr size_t kPanelBlockBytes = kGroupBytes*(kGroups + (Blocks::kMinAt != 0 ? 2 : 1));

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
  const auto offsets = hn::Mul(hn::Iota(d, 0), hn::Set(d, static_cast<int32_t>(row_bytes)));
  return hn::GatherOffset(d, reinterpret_cast<const int32_t*>(from), offsets);
}

// The F16 numbers in the lower half of each lane.
HWY_INLINE void store_scales(hn::Vec<I32> words, std::byte* to) {
  const F32 d;
  const hn::Rebind<uint16_t, F32> d16;
  HWY_ALIGN uint16_t bits[kLanes];
  hn::Store(hn::DemoteTo(d16, hn::And(words, hn::Set(I32(), 0xFFFF))), d16, bits);
  hn::StoreU(F16Rows::load(d, reinterpret_cast<const std::byte*>(bits), 0), d,
             reinterpret_cast<float*>(to));
}

// Bits [4 g, 4 g + 4) of each lane as bit 4 of its bytes.
HWY_INLINE hn::Vec<I32> fifth_bits(hn::Vec<I32> high, int32_t g) {
  const I32 d;
  const auto four = hn::And(hn::ShiftRightSame(high, 4 * g), hn::Set(d, 15));
  return hn::And(hn::ShiftLeft<4>(hn::Mul(four, hn::Set(d, 0x204081))), hn::Set(d, 0x10101010));
}

// A block of kLanes rows, `from` being that of the first, into vector v of a panel's block.
template <class Blocks>
HWY_INLINE void pack_block(const std::byte* from, size_t row_bytes, int32_t v, std::byte* to) {
  const I32 d;
  const I8 bytes;
  const hn::RebindToUnsigned<I32> unsigned_words;
  to += v * kVecBytes;
  const auto scales = load_row_words(from, row_bytes);
  store_scales(scales, to);
  to += kGroupBytes;
  if constexpr (Blocks::kMinAt != 0) {
    static_assert(Blocks::kMinAt == 2);
    store_scales(hn::BitCast(d, hn::ShiftRight<16>(hn::BitCast(unsigned_words, scales))), to);
    to += kGroupBytes;
  }
  const auto store = [&](int32_t g, hn::Vec<I32> q) {
    hn::StoreU(hn::BitCast(bytes, q), bytes, reinterpret_cast<int8_t*>(to + g * kGroupBytes));
  };
  hn::Vec<I32> four[4];
  load_words(from + Blocks::kValuesAt, row_bytes, four);
  if constexpr (Blocks::kType == GGML_TYPE_Q8_0) {
    hn::Vec<I32> last[4];
    load_words(from + Blocks::kValuesAt + 16, row_bytes, last);
    for (int32_t g = 0; g < 4; ++g) {
      store(g, hn::BitCast(d, biased(hn::BitCast(bytes, four[g]))));
      store(g + 4, hn::BitCast(d, biased(hn::BitCast(bytes, last[g]))));
    }
    return;
  }
  auto high = hn::Zero(d);
  if constexpr (Blocks::kHighAt != 0) {
    high = load_row_words(from + Blocks::kHighAt, row_bytes);
  }
  const auto low_half = hn::Set(d, 0x0F0F0F0F);
  for (int32_t g = 0; g < 4; ++g) {
    auto first = hn::And(four[g], low_half);
    auto last = hn::And(hn::ShiftRight<4>(four[g]), low_half);
    if constexpr (Blocks::kHighAt != 0) {
      first = hn::Or(first, fifth_bits(high, g));
      last = hn::Or(last, fifth_bits(high, g + 4));
    }
    if constexpr (Blocks::kType == GGML_TYPE_IQ4_NL) {
      const auto table = hn::LoadDup128(bytes, kIq4NlValues.data());
      first = hn::BitCast(d, biased(hn::TableLookupBytes(table, hn::BitCast(bytes, first))));
      last = hn::BitCast(d, biased(hn::TableLookupBytes(table, hn::BitCast(bytes, last))));
    }
    store(g, first);
    store(g + 4, last);
  }
}

#endif  // HWY_TARGET == HWY_SCALAR

}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // REPRISE_INT_PANEL_INL
