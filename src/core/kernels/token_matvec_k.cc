#include "core/kernels/token_matvec_k.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/token_matvec_k.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
// After it:
#include <hwy/highway.h>

#include <algorithm>
#include <array>

#include "core/kernels/plain_dot-inl.h"
#include "core/kernels/row_lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {
namespace {

constexpr int64_t kValues = 256;  // of a block

// Where a block's parts stand; quant_blocks-inl.h has the other types.
struct Q6KBlocks {  // nibbles, pairs of higher bits, 16 scales of 8 bits, F16 scale
  static constexpr int64_t kBytes = 210;
  static constexpr int64_t kNibbles = 0;
  static constexpr int64_t kPairs = 128;
  static constexpr int64_t kScales = 192;
  static constexpr int64_t kScale = 208;
};

// One block in a plain loop.
float plain_block_6(const std::byte* block, const RoundedToken& x, int64_t b) {
  const auto* nibbles = reinterpret_cast<const uint8_t*>(block) + Q6KBlocks::kNibbles;
  const auto* pairs = reinterpret_cast<const uint8_t*>(block) + Q6KBlocks::kPairs;
  const auto* scales = reinterpret_cast<const int8_t*>(block) + Q6KBlocks::kScales;
  float out = 0;
  for (int64_t part = 0; part < 16; ++part) {
    int32_t sum = 0;
    for (int64_t i = 16 * part; i < 16 * part + 16; ++i) {
      const int64_t half = i / 128;
      const int64_t at = i % 128;
      const int32_t byte = nibbles[64 * half + at % 64];
      const int32_t pair = pairs[32 * half + at % 32] >> (2 * (at / 32)) & 3;
      sum += (((at < 64 ? byte & 15 : byte >> 4) | pair << 4) - 32) * x.q[b * kValues + i];
    }
    out += static_cast<float>(sum * scales[part]) * x.scale[8 * b + part / 2];
  }
  return out * scale_of(block + Q6KBlocks::kScale);
}

template <class Blocks>
float plain_row(const TokenMatvec& m, int64_t row) {
  float out = 0;
  const std::byte* blocks = m.w + m.row_bytes * row;
  if constexpr (std::is_same_v<Blocks, Q6KBlocks>) {
    for (int64_t b = 0; b < m.n_in / kValues; ++b)
      out += plain_block_6(blocks + Blocks::kBytes * b, m.x, b);
  } else {
    out = plain_dot<Blocks>(blocks, m.n_in, m.x);
  }
  return out;
}

#if HWY_TARGET != HWY_SCALAR

// A block in kRows rows.
struct BlockOfRows {
  const std::byte* quarters[kQuarter];
  size_t row_bytes;

  // 16 bytes of rows 4 k + i, k = 0 .. kQuarter - 1.
  HWY_INLINE hn::Vec<U8> load(int64_t i, int64_t at) const {
    return load_side_by_side<kQuarter>(quarters, at + row_bytes * i);
  }
  HWY_INLINE FourDwords dwords(int64_t at) const {
    hn::Vec<U32> v[4];
    for (int64_t i = 0; i < 4; ++i) v[i] = hn::BitCast(U32(), load(i, at));
    return transpose(v);
  }
};

HWY_INLINE hn::Vec<F32> byte_as_float(hn::Vec<U32> v, int32_t i) {
  const auto byte = hn::And(hn::ShiftRightSame(v, 8 * i), hn::Set(U32(), 255));
  return hn::ConvertTo(F32(), hn::BitCast(I32(), byte));
}

// The block's products, q4_k and q5_k.
template <class Blocks>
HWY_INLINE hn::Vec<F32> dot_block_4(const BlockOfRows& rows, const RoundedToken& x, int64_t b) {
  constexpr bool kHasFifths = Blocks::kHighAt != 0;
  const F32 d;
  const I8 bytes;
  const U32 words;
  const FourDwords head = rows.dwords(0);
  const auto low6 = hn::Set(words, 0x3F3F3F3FU);
  const auto low4 = hn::Set(words, 0x0F0F0F0FU);
  const auto upper = [&](hn::Vec<U32> v) {
    return hn::ShiftLeft<4>(hn::And(hn::ShiftRight<6>(v), hn::Set(words, 0x03030303U)));
  };
  const hn::Vec<U32> scales[2] = {hn::And(head.at[1], low6),
                                  hn::Or(hn::And(head.at[3], low4), upper(head.at[1]))};
  const hn::Vec<U32> mins[2] = {
      hn::And(head.at[2], low6),
      hn::Or(hn::And(hn::ShiftRight<4>(head.at[3]), low4), upper(head.at[2]))};
  auto sum = hn::Zero(d);
  auto min_sum = hn::Zero(d);
  for (int32_t pair = 0; pair < 4; ++pair) {  // of parts whose nibbles share bytes
    const int8_t* q = x.q + b * kValues + 64 * pair;
    hn::Vec<I8> xs[4];
    for (int32_t i = 0; i < 4; ++i) xs[i] = hn::LoadDup128(bytes, q + 16 * i);
    hn::Vec<I32> low[4];
    hn::Vec<I32> high[4];
    for (int64_t i = 0; i < 4; ++i) {
      low[i] = high[i] = hn::Zero(I32());
      for (int32_t half = 0; half < 2; ++half) {
        const auto nibbles = rows.load(i, Blocks::kValuesAt + 32 * pair + 16 * half);
        auto u = hn::And(nibbles, hn::Set(U8(), 15));
        auto v = hn::ShiftRight<4>(nibbles);
        if constexpr (kHasFifths) {
          const auto fifths = rows.load(i, Blocks::kHighAt + 16 * half);
          const auto fifth = [&](int32_t part) {
            const auto bit = hn::Set(U8(), static_cast<uint8_t>(1U << part));
            return hn::IfThenElseZero(hn::Eq(hn::And(fifths, bit), bit), hn::Set(U8(), 16));
          };
          u = hn::Or(u, fifth(2 * pair));
          v = hn::Or(v, fifth(2 * pair + 1));
        }
        low[i] = dot4_u7(low[i], hn::BitCast(bytes, u), xs[half]);
        high[i] = dot4_u7(high[i], hn::BitCast(bytes, v), xs[2 + half]);
      }
    }
    const hn::Vec<I32> sums[2] = {sum_rows(low), sum_rows(high)};
    for (int32_t k = 0; k < 2; ++k) {
      const int32_t part = 2 * pair + k;
      const auto scale =
          hn::Mul(byte_as_float(scales[part / 4], part % 4), hn::Set(d, x.scale[8 * b + part]));
      sum = hn::MulAdd(hn::ConvertTo(d, sums[k]), scale, sum);
      min_sum = hn::MulAdd(byte_as_float(mins[part / 4], part % 4),
                           hn::Set(d, x.scaled_sum[8 * b + part]), min_sum);
    }
  }
  const auto min_scale = f32_of_halves(d, hn::ShiftRight<16>(head.at[0]));
  return hn::NegMulAdd(min_scale, min_sum, hn::Mul(f32_of_halves(d, head.at[0]), sum));
}

HWY_INLINE hn::Vec<F32> dot_block_6(const BlockOfRows& rows, const RoundedToken& x, int64_t b) {
  using Blocks = Q6KBlocks;
  const F32 d;
  const I8 bytes;
  const FourDwords scales = rows.dwords(Blocks::kScales);
  auto sum = hn::Zero(d);
  for (int32_t run = 0; run < 4; ++run) {  // of 16 bytes that hold four parts
    const int32_t half = run / 2;
    const int32_t at = 16 * (run % 2);
    hn::Vec<I8> xs[4];
    hn::Vec<I32> sums[4][4];
    for (int32_t k = 0; k < 4; ++k) {
      xs[k] = hn::LoadDup128(bytes, x.q + b * kValues + 128 * half + 32 * k + at);
      // Values are 32 too large.
      const auto excess = dot4_u7(hn::Zero(I32()), hn::Set(bytes, 32), xs[k]);
      for (auto& row_sum : sums[k]) row_sum = hn::Neg(excess);
    }
    for (int64_t i = 0; i < 4; ++i) {
      const auto a = rows.load(i, Blocks::kNibbles + 64 * half + at);
      const auto c = rows.load(i, Blocks::kNibbles + 64 * half + 32 + at);
      const auto pairs = rows.load(i, Blocks::kPairs + 32 * half + at);
      const auto low4 = hn::Set(U8(), 15);
      const auto upper = hn::Set(U8(), 48);
      const hn::Vec<U8> u[4] = {
          hn::Or(hn::And(a, low4), hn::And(hn::ShiftLeft<4>(pairs), upper)),
          hn::Or(hn::And(c, low4), hn::And(hn::ShiftLeft<2>(pairs), upper)),
          hn::Or(hn::ShiftRight<4>(a), hn::And(pairs, upper)),
          hn::Or(hn::ShiftRight<4>(c), hn::And(hn::ShiftRight<2>(pairs), upper))};
      for (int32_t k = 0; k < 4; ++k)
        sums[k][i] = dot4_u7(sums[k][i], hn::BitCast(bytes, u[k]), xs[k]);
    }
    for (int32_t k = 0; k < 4; ++k) {
      const int32_t part = 8 * half + 2 * k + run % 2;
      const auto bits = hn::BitCast(I32(), scales.at[part / 4]);
      const auto scale = hn::ShiftRight<24>(hn::ShiftLeftSame(bits, 24 - 8 * (part % 4)));
      const auto factor = hn::Mul(hn::ConvertTo(d, scale), hn::Set(d, x.scale[8 * b + part / 2]));
      sum = hn::MulAdd(hn::ConvertTo(d, sum_rows(sums[k])), factor, sum);
    }
  }
  // The scale is the last half of the block's last dword.
  const auto last = load_heads(rows.quarters[0] + Blocks::kScale - 2, rows.row_bytes);
  return hn::Mul(f32_of_halves(d, hn::ShiftRight<16>(last)), sum);
}

template <class Blocks>
void group_of_rows(const TokenMatvec& m, int64_t row, float* HWY_RESTRICT y) {
  const F32 d;
  const std::byte* rows = m.w + m.row_bytes * row;
  const std::byte* next = rows + m.row_bytes * kRows;
  auto out = hn::Zero(d);
  for (int64_t b = 0; b < m.n_in / kValues; ++b) {
    prefetch<kRows * Blocks::kBytes>(next + b * kRows * Blocks::kBytes);
    BlockOfRows block;
    block.row_bytes = m.row_bytes;
    for (int64_t k = 0; k < kQuarter; ++k)
      block.quarters[k] = rows + b * Blocks::kBytes + m.row_bytes * 4 * k;
    if constexpr (std::is_same_v<Blocks, Q6KBlocks>) {
      out = hn::Add(out, dot_block_6(block, m.x, b));
    } else {
      out = hn::Add(out, dot_block_4<Blocks>(block, m.x, b));
    }
  }
  hn::StoreU(out, d, y);
}

#endif  // HWY_TARGET != HWY_SCALAR

template <class Blocks>
void rows_of_type(const TokenMatvec& m, int64_t first, int64_t n, float* y) {
  const auto group = [&](int64_t row, float* to) {
#if HWY_TARGET != HWY_SCALAR
    group_of_rows<Blocks>(m, row, to);
#else
    (void)row;
    (void)to;
#endif
  };
  rows_in_groups(first, n, y, group, [&](int64_t row) { return plain_row<Blocks>(m, row); });
}

void rows(const TokenMatvec& m, int64_t first, int64_t n, float* y) {
  switch (m.type) {
    case GGML_TYPE_Q5_K:
      return rows_of_type<Q5KBlocks>(m, first, n, y);
    case GGML_TYPE_Q6_K:
      return rows_of_type<Q6KBlocks>(m, first, n, y);
    default:
      return rows_of_type<Q4KBlocks>(m, first, n, y);
  }
}

}  // namespace
}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reprise {
namespace {

HWY_EXPORT(rows);

}  // namespace

bool has_token_matvec_k(ggml_type type) {
  return type == GGML_TYPE_Q4_K || type == GGML_TYPE_Q5_K || type == GGML_TYPE_Q6_K;
}

void token_matvec_k_rows(const TokenMatvec& m, int64_t first, int64_t n, float* y) {
  HWY_DYNAMIC_DISPATCH(rows)(m, first, n, y);
}

}  // namespace reprise
#endif  // HWY_ONCE
