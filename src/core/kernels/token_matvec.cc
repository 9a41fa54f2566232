#include "core/kernels/token_matvec.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/token_matvec.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
// After it:
#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "core/kernels/plain_dot-inl.h"
#include "core/kernels/row_lanes-inl.h"
#include "core/kernels/token_matvec_k.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {
namespace {

#if HWY_TARGET != HWY_SCALAR

// A token's bytes for one block.
struct TokenBlock {
  hn::Vec<I8> low;   // values 0..15 in every 128-bit block
  hn::Vec<I8> high;  // values 16..31
};

// 16 where bit i of two bytes is set, in byte i of every 128-bit block: bytes kFirst and kFirst + 1
// of the block.
template <int32_t kFirst>
HWY_INLINE hn::Vec<U8> spread_bits(hn::Vec<U8> v) {
  alignas(16) static constexpr std::array<uint8_t, 16> kFrom = {
      kFirst,     kFirst,     kFirst,     kFirst,     kFirst,     kFirst,
      kFirst,     kFirst,     kFirst + 1, kFirst + 1, kFirst + 1, kFirst + 1,
      kFirst + 1, kFirst + 1, kFirst + 1, kFirst + 1};
  alignas(16) static constexpr std::array<uint8_t, 16> kBits = {1, 2, 4, 8, 16, 32, 64, 128,
                                                                1, 2, 4, 8, 16, 32, 64, 128};
  const U8 d;
  const auto bits = hn::LoadDup128(d, kBits.data());
  const auto spread = hn::TableLookupBytes(v, hn::LoadDup128(d, kFrom.data()));
  return hn::IfThenElseZero(hn::Eq(hn::And(spread, bits), bits), hn::Set(d, 16));
}

// Products of one block's values with a token's bytes, in kQuarter rows whose blocks start `at`
// bytes behind `rows`.
template <class Blocks>
HWY_INLINE hn::Vec<I32> dot_block(const std::byte* const* rows, size_t at, const TokenBlock& x) {
  const auto zero = hn::Zero(I32());
  const I8 bytes;
  const auto quants = load_side_by_side<kQuarter>(rows, at + Blocks::kValuesAt);
  if constexpr (Blocks::kHighAt != 0) {
    // In the first four bytes of 16.
    const auto fifths = load_side_by_side<kQuarter>(rows, at + Blocks::kHighAt);
    const auto low = hn::Or(hn::And(quants, hn::Set(U8(), 15)), spread_bits<0>(fifths));
    const auto high = hn::Or(hn::ShiftRight<4>(quants), spread_bits<2>(fifths));
    return dot4_u7(dot4_u7(zero, hn::BitCast(bytes, low), x.low), hn::BitCast(bytes, high), x.high);
  } else if constexpr (std::is_same_v<Blocks, Q80Blocks>) {
    const auto more = load_side_by_side<kQuarter>(rows, at + Blocks::kValuesAt + 16);
    return dot4(dot4(zero, biased(hn::BitCast(bytes, quants)), x.low),
                biased(hn::BitCast(bytes, more)), x.high);
  } else {
    const auto low = hn::And(quants, hn::Set(U8(), 15));
    const auto high = hn::ShiftRight<4>(quants);
    if constexpr (std::is_same_v<Blocks, Iq4NlBlocks>) {
      const auto levels = hn::LoadDup128(bytes, kIq4NlValues.data());
      const auto level = [&](hn::Vec<U8> index) {
        return biased(hn::TableLookupBytes(levels, hn::BitCast(bytes, index)));
      };
      return dot4(dot4(zero, level(low), x.low), level(high), x.high);
    } else {
      return dot4_u7(dot4_u7(zero, hn::BitCast(bytes, low), x.low), hn::BitCast(bytes, high),
                     x.high);
    }
  }
}

// What the integer products count too much, times the sum of x.
template <class Blocks>
constexpr int32_t kExcess = Blocks::kIsSigned ? kDotBias : Blocks::kZero;

// kRows rows from `row` on.
template <class Blocks>
void group_of_rows(const TokenMatvec& m, int64_t row, float* HWY_RESTRICT y) {
  const F32 d;
  const I32 ints;
  const I8 bytes;
  const std::byte* rows = m.w + m.row_bytes * row;
  const std::byte* next = rows + m.row_bytes * kRows;
  auto out = hn::Zero(d);
  for (int64_t b = 0; b < m.n_in / kBlock; ++b) {
    prefetch<kRows * Blocks::kBytes>(next + b * kRows * Blocks::kBytes);
    const std::byte* block = rows + b * Blocks::kBytes;
    const TokenBlock x{hn::LoadDup128(bytes, m.x.q + b * kBlock),
                       hn::LoadDup128(bytes, m.x.q + b * kBlock + 16)};
    const std::byte* quarters[kQuarter];
    for (int64_t k = 0; k < kQuarter; ++k) quarters[k] = block + m.row_bytes * 4 * k;
    hn::Vec<I32> sums[4];
    for (int64_t i = 0; i < 4; ++i) sums[i] = dot_block<Blocks>(quarters, m.row_bytes * i, x);
    auto sum = sum_rows(sums);
    if constexpr (kExcess<Blocks> != 0)
      sum = hn::Sub(sum, hn::Set(ints, kExcess<Blocks> * m.x.sum[b]));
    const auto heads = load_heads(block, m.row_bytes);
    const auto scale = hn::Mul(f32_of_halves(d, heads), hn::Set(d, m.x.scale[b]));
    out = hn::MulAdd(hn::ConvertTo(d, sum), scale, out);
    if constexpr (Blocks::kMinAt != 0) {
      out = hn::MulAdd(f32_of_halves(d, hn::ShiftRight<16>(heads)), hn::Set(d, m.x.scaled_sum[b]),
                       out);
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
  rows_in_groups(first, n, y, group, [&](int64_t row) {
    return plain_dot<Blocks>(m.w + m.row_bytes * row, m.n_in, m.x);
  });
}

void rows(const TokenMatvec& m, int64_t first, int64_t n, float* y) {
  switch (m.type) {
    case GGML_TYPE_Q4_0:
      return rows_of_type<Q40Blocks>(m, first, n, y);
    case GGML_TYPE_Q5_0:
      return rows_of_type<Q50Blocks>(m, first, n, y);
    case GGML_TYPE_Q5_1:
      return rows_of_type<Q51Blocks>(m, first, n, y);
    case GGML_TYPE_IQ4_NL:
      return rows_of_type<Iq4NlBlocks>(m, first, n, y);
    case GGML_TYPE_Q8_0:
      return rows_of_type<Q80Blocks>(m, first, n, y);
    default:
      return rows_of_type<Q41Blocks>(m, first, n, y);
  }
}

// One block: q, and the sum of q; returns the scale.
HWY_INLINE float round_block(const float* HWY_RESTRICT x, int8_t* HWY_RESTRICT q, int32_t* sum) {
  const hn::CappedTag<float, 16> d;
  const hn::RebindToSigned<decltype(d)> ints;
  const hn::Rebind<int8_t, decltype(d)> bytes;
  const auto n_lanes = static_cast<int64_t>(hn::Lanes(d));
  auto maxima = hn::Zero(d);
  auto poisons = hn::Zero(d);  // NaN where a value is NaN or infinite
  for (int64_t i = 0; i < kBlock; i += n_lanes) {
    const auto v = hn::LoadU(d, x + i);
    maxima = hn::Max(maxima, hn::Abs(v));
    poisons = hn::MulAdd(v, hn::Zero(d), poisons);
  }
  const float max = hn::GetLane(hn::MaxOfLanes(d, maxima));
  const float poison = hn::GetLane(hn::SumOfLanes(d, poisons));
  if (poison != 0) {  // no integer stands for such values; their sums would overflow
    std::fill_n(q, kBlock, int8_t{0});
    *sum = 0;
    return poison;
  }
  // 0 where its inverse would overflow: such values are nothing beside any weight.
  const bool is_tiny = !(max > 0x1p-120F);
  const auto factor = hn::Set(d, is_tiny ? 0.0F : 127.0F / max);
  auto sums = hn::Zero(ints);
  for (int64_t i = 0; i < kBlock; i += n_lanes) {
    const auto v = hn::NearestInt(hn::Mul(hn::LoadU(d, x + i), factor));
    sums = hn::Add(sums, v);
    hn::StoreU(hn::DemoteTo(bytes, v), bytes, q + i);
  }
  *sum = hn::GetLane(hn::SumOfLanes(ints, sums));
  return is_tiny ? 0.0F : max / 127.0F;
}

void round_all(const float* x, int64_t n_in, int8_t* q, float* scale, float* scaled_sum,
               int32_t* sum) {
  for (int64_t b = 0; b < n_in / kBlock; ++b) {
    scale[b] = round_block(x + b * kBlock, q + b * kBlock, sum + b);
    scaled_sum[b] = scale[b] * static_cast<float>(sum[b]);
  }
}

}  // namespace
}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reprise {
namespace {

HWY_EXPORT(rows);
HWY_EXPORT(round_all);

constexpr int64_t kValuesABlock = 32;
constexpr size_t kLine = 64;

size_t lines(size_t n_bytes) { return (n_bytes + kLine - 1) / kLine * kLine; }

}  // namespace

bool has_token_matvec(ggml_type type) {
  switch (type) {
    case GGML_TYPE_Q4_0:
    case GGML_TYPE_Q4_1:
    case GGML_TYPE_Q5_0:
    case GGML_TYPE_Q5_1:
    case GGML_TYPE_Q8_0:
    case GGML_TYPE_IQ4_NL:
      return true;
    default:
      return has_token_matvec_k(type);
  }
}

size_t rounded_token_bytes(int64_t n_in) {
  return lines(n_in) + 3 * lines(sizeof(float) * (n_in / kValuesABlock));
}

RoundedToken round_token(const float* x, int64_t n_in, std::byte* to) {
  const size_t n_scales = lines(sizeof(float) * (n_in / kValuesABlock));
  std::byte* scales = to + lines(n_in);
  auto* q = reinterpret_cast<int8_t*>(to);
  auto* scale = reinterpret_cast<float*>(scales);
  auto* scaled_sum = reinterpret_cast<float*>(scales + n_scales);
  auto* sum = reinterpret_cast<int32_t*>(scales + 2 * n_scales);
  HWY_DYNAMIC_DISPATCH(round_all)(x, n_in, q, scale, scaled_sum, sum);
  return {q, scale, scaled_sum, sum};
}

void token_matvec_rows(const TokenMatvec& m, int64_t first, int64_t n, float* y) {
  if (has_token_matvec_k(m.type)) return token_matvec_k_rows(m, first, n, y);
  HWY_DYNAMIC_DISPATCH(rows)(m, first, n, y);
}

}  // namespace reprise
#endif  // HWY_ONCE
