// Quantised blocks of ggml's types, compiled once per SIMD target. Include guard after Highway's
// convention for such headers.
#if defined(REPRISE_QUANT_BLOCKS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef REPRISE_QUANT_BLOCKS_INL
#undef REPRISE_QUANT_BLOCKS_INL
#else
#define REPRISE_QUANT_BLOCKS_INL
#endif

#include <hwy/highway.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/kernels/rows-inl.h"
#include "ggml.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {

inline constexpr int32_t kBlock = 32;  // values behind one scale

// How ggml keeps kBlocks blocks of a row in kBytes. A weight is scale * (q - kZero) + min with q in
// 0..31, or scale * q with signed q. Scale and minimum are F16; offsets of 0: the type has none.
// Byte j of 4-bit values holds values j (low) and j + 16 (high); bit i of the word kHighAt is bit 4
// of value i.
struct Q40Blocks {
  static constexpr ggml_type kType = GGML_TYPE_Q4_0;
  static constexpr int32_t kBlocks = 1;
  static constexpr size_t kBytes = 18, kMinAt = 0, kHighAt = 0, kValuesAt = 2;
  static constexpr int32_t kZero = 8;
  static constexpr bool kIsSigned = false;
};
struct Q41Blocks {
  static constexpr ggml_type kType = GGML_TYPE_Q4_1;
  static constexpr int32_t kBlocks = 1;
  static constexpr size_t kBytes = 20, kMinAt = 2, kHighAt = 0, kValuesAt = 4;
  static constexpr int32_t kZero = 0;
  static constexpr bool kIsSigned = false;
};
struct Q50Blocks {
  static constexpr ggml_type kType = GGML_TYPE_Q5_0;
  static constexpr int32_t kBlocks = 1;
  static constexpr size_t kBytes = 22, kMinAt = 0, kHighAt = 2, kValuesAt = 6;
  static constexpr int32_t kZero = 16;
  static constexpr bool kIsSigned = false;
};
struct Q51Blocks {
  static constexpr ggml_type kType = GGML_TYPE_Q5_1;
  static constexpr int32_t kBlocks = 1;
  static constexpr size_t kBytes = 24, kMinAt = 2, kHighAt = 4, kValuesAt = 8;
  static constexpr int32_t kZero = 0;
  static constexpr bool kIsSigned = false;
};
struct Q80Blocks {
  static constexpr ggml_type kType = GGML_TYPE_Q8_0;
  static constexpr int32_t kBlocks = 1;
  static constexpr size_t kBytes = 34, kMinAt = 0, kHighAt = 0, kValuesAt = 2;
  static constexpr int32_t kZero = 0;
  static constexpr bool kIsSigned = true;
};
struct Iq4NlBlocks {
  static constexpr ggml_type kType = GGML_TYPE_IQ4_NL;
  static constexpr int32_t kBlocks = 1;
  static constexpr size_t kBytes = 18, kMinAt = 0, kHighAt = 0, kValuesAt = 2;
  static constexpr int32_t kZero = 0;
  static constexpr bool kIsSigned = true;
};

// 8 blocks share two F16 numbers. Twelve bytes behind them hold a scale and a minimum of 6 bits for
// each block, by which the numbers are multiplied; minima are taken off. The 4-bit values of blocks
// 2 p (low) and 2 p + 1 (high) stand in 32 bytes, bit k of byte i at kHighAt is bit 4 of value i of
// block k.
struct Q4KBlocks {
  static constexpr ggml_type kType = GGML_TYPE_Q4_K;
  static constexpr int32_t kBlocks = 8;
  static constexpr size_t kBytes = 144, kMinAt = 2, kHighAt = 0, kValuesAt = 16;
  static constexpr int32_t kZero = 0;
  static constexpr bool kIsSigned = false;
};
struct Q5KBlocks {
  static constexpr ggml_type kType = GGML_TYPE_Q5_K;
  static constexpr int32_t kBlocks = 8;
  static constexpr size_t kBytes = 176, kMinAt = 2, kHighAt = 16, kValuesAt = 48;
  static constexpr int32_t kZero = 0;
  static constexpr bool kIsSigned = false;
};

// What the 4 bits of IQ4_NL stand for.
inline constexpr std::array<int8_t, 16> kIq4NlValues = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                        1,    13,   25,  38,  53,  69,  89,  113};

// One block as plain numbers; q less kZero.
struct UnpackedBlock {
  std::array<int8_t, kBlock> q;
  float scale;
  float min;
};

template <class Blocks>
UnpackedBlock unpack_block(const std::byte* row, int64_t i_block) {
  const std::byte* from = row + Blocks::kBytes * (i_block / Blocks::kBlocks);
  const auto* values = reinterpret_cast<const uint8_t*>(from + Blocks::kValuesAt);
  const auto* high = reinterpret_cast<const uint8_t*>(from + Blocks::kHighAt);
  const auto k = static_cast<int32_t>(i_block % Blocks::kBlocks);
  UnpackedBlock block;
  block.scale = scale_of(from);
  block.min = Blocks::kMinAt == 0 ? 0 : scale_of(from + Blocks::kMinAt);
  if constexpr (Blocks::kBlocks > 1) {
    const auto* six = reinterpret_cast<const uint8_t*>(from + 4);
    // The last four blocks have their upper two bits where the first four have none.
    const int32_t scale = k < 4 ? six[k] & 63 : (six[k + 4] & 15) | (six[k - 4] >> 6) << 4;
    const int32_t min = k < 4 ? six[k + 4] & 63 : six[k + 4] >> 4 | (six[k] >> 6) << 4;
    block.scale *= static_cast<float>(scale);
    block.min *= -static_cast<float>(min);
  }
  for (int32_t i = 0; i < kBlock; ++i) {
    if constexpr (Blocks::kType == GGML_TYPE_Q8_0) {
      block.q[i] = static_cast<int8_t>(values[i]);
      continue;
    }
    int32_t q = 0;
    int32_t fifth = 0;
    if constexpr (Blocks::kBlocks > 1) {
      q = values[k / 2 * kBlock + i] >> k % 2 * 4 & 15;
      fifth = high[i] >> k & 1;
    } else {
      q = values[i % 16] >> i / 16 * 4 & 15;
      fifth = high[i / 8] >> i % 8 & 1;
    }
    if constexpr (Blocks::kType == GGML_TYPE_IQ4_NL) {
      block.q[i] = kIq4NlValues[q];
      continue;
    }
    if constexpr (Blocks::kHighAt != 0) q |= fifth << 4;
    block.q[i] = static_cast<int8_t>(q - Blocks::kZero);
  }
  return block;
}

}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // REPRISE_QUANT_BLOCKS_INL
