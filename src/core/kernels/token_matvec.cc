#include "core/kernels/token_matvec.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/token_matvec.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
// After it:
#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "core/kernels/int_dot-inl.h"
#include "core/kernels/rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {
namespace {

constexpr int64_t kBlock = 32;  // values behind one scale

// ggml's 16 levels of iq4_nl.
alignas(16) constexpr std::array<int8_t, 16> kLevels = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                        1,    13,   25,  38,  53,  69,  89,  113};

// Blocks of a weight type: kBytes, an F16 scale in front, where it has a minimum another F16, then
// the quants. value(): of the plain loop, without scale and minimum.
struct Q4_0Blocks {
  static constexpr int64_t kBytes = 18;
  static constexpr bool kHasMin = false;
  static int32_t value(const uint8_t* quants, int64_t i) {
    return (i < 16 ? quants[i] & 15 : quants[i - 16] >> 4) - 8;
  }
};

struct Q4_1Blocks {
  static constexpr int64_t kBytes = 20;
  static constexpr bool kHasMin = true;
  static int32_t value(const uint8_t* quants, int64_t i) {
    return i < 16 ? quants[i] & 15 : quants[i - 16] >> 4;
  }
};

struct Iq4NlBlocks {
  static constexpr int64_t kBytes = 18;
  static constexpr bool kHasMin = false;
  static int32_t value(const uint8_t* quants, int64_t i) {
    return kLevels[i < 16 ? quants[i] & 15 : quants[i - 16] >> 4];
  }
};

struct Q8_0Blocks {
  static constexpr int64_t kBytes = 34;
  static constexpr bool kHasMin = false;
  static int32_t value(const uint8_t* quants, int64_t i) { return static_cast<int8_t>(quants[i]); }
};

template <class Blocks>
constexpr int64_t quants_at() {
  return Blocks::kHasMin ? 4 : 2;
}

// One row in a plain loop.
template <class Blocks>
float plain_row(const TokenMatvec& m, int64_t row) {
  float out = 0;
  const std::byte* block = m.w + m.row_bytes * row;
  for (int64_t b = 0; b < m.n_in / kBlock; ++b, block += Blocks::kBytes) {
    int32_t sum = 0;
    for (int64_t i = 0; i < kBlock; ++i) {
      sum += Blocks::value(reinterpret_cast<const uint8_t*>(block) + quants_at<Blocks>(), i) *
             m.x.q[b * kBlock + i];
    }
    out += static_cast<float>(sum) * (scale_of(block) * m.x.scale[b]);
    if constexpr (Blocks::kHasMin) out += scale_of(block + 2) * m.x.scaled_sum[b];
  }
  return out;
}

#if HWY_TARGET != HWY_SCALAR

using F32 = hn::ScalableTag<float>;
using U32 = hn::ScalableTag<uint32_t>;
constexpr int64_t kRows = hn::MaxLanes(I32());  // that are computed together
constexpr int64_t kQuarter = kRows / 4;         // 128-bit blocks of a vector

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

// The first four bytes of a block in each of kRows rows.
HWY_INLINE hn::Vec<U32> load_heads(const std::byte* first, size_t row_bytes, hn::Vec<I32> offsets) {
#if HWY_TARGET == HWY_AVX3_DL || HWY_TARGET == HWY_AVX3
  (void)row_bytes;
  return hn::Vec<U32>{_mm512_i32gather_epi32(offsets.raw, first, 1)};
#elif HWY_TARGET == HWY_AVX2
  (void)row_bytes;
  return hn::Vec<U32>{_mm256_i32gather_epi32(reinterpret_cast<const int*>(first), offsets.raw, 1)};
#else
  (void)offsets;
  alignas(16) std::array<uint32_t, kRows> heads;
  for (int64_t r = 0; r < kRows; ++r) std::memcpy(&heads[r], first + row_bytes * r, 4);
  return hn::Load(U32(), heads.data());
#endif
}

// F32 from the F16 in the low half of each lane.
HWY_INLINE hn::Vec<F32> from_half(hn::Vec<U32> bits) {
  const F32 d;
#if HWY_TARGET == HWY_AVX3_DL || HWY_TARGET == HWY_AVX3
  return hn::Vec<F32>{_mm512_cvtph_ps(_mm512_cvtepi32_epi16(bits.raw))};
#else
  const U32 words;
  const auto magnitude = hn::ShiftLeft<13>(hn::And(bits, hn::Set(words, 0x7FFFU)));
  const auto finite = hn::Mul(hn::BitCast(d, magnitude), hn::Set(d, 0x1p112F));
  const auto exponent = hn::Set(words, 0x7C00U);
  const auto is_special = hn::RebindMask(d, hn::Eq(hn::And(bits, exponent), exponent));
  const auto special = hn::BitCast(d, hn::Or(magnitude, hn::Set(words, 0x7F800000U)));
  const auto sign = hn::BitCast(d, hn::ShiftLeft<16>(hn::And(bits, hn::Set(words, 0x8000U))));
  return hn::Or(hn::IfThenElse(is_special, special, finite), sign);
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

// Products of one block's quants in four rows a vector with a token's bytes.
struct TokenBlock {
  hn::Vec<I8> low;   // values 0..15 in every 128-bit block
  hn::Vec<I8> high;  // values 16..31
};

template <class Blocks>
HWY_INLINE hn::Vec<I32> dot_block(const std::byte* const* rows, size_t at, const TokenBlock& x) {
  const auto zero = hn::Zero(I32());
  const I8 bytes;
  const auto quants = load_side_by_side<kQuarter>(rows, at);
  if constexpr (std::is_same_v<Blocks, Q8_0Blocks>) {
    const auto more = load_side_by_side<kQuarter>(rows, at + 16);
    return dot4(dot4(zero, biased(hn::BitCast(bytes, quants)), x.low),
                biased(hn::BitCast(bytes, more)), x.high);
  } else {
    const auto low = hn::And(quants, hn::Set(U8(), 15));
    const auto high = hn::ShiftRight<4>(quants);
    if constexpr (std::is_same_v<Blocks, Iq4NlBlocks>) {
      const auto levels = hn::LoadDup128(bytes, kLevels.data());
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
constexpr int32_t kExcess = std::is_same_v<Blocks, Q4_1Blocks>   ? 0
                            : std::is_same_v<Blocks, Q4_0Blocks> ? 8
                                                                 : kDotBias;

// kRows rows from `row` on.
template <class Blocks>
void group_of_rows(const TokenMatvec& m, int64_t row, float* HWY_RESTRICT y) {
  const F32 d;
  const I32 ints;
  const I8 bytes;
  const std::byte* rows = m.w + m.row_bytes * row;
  const auto offsets = hn::Mul(hn::Iota(ints, 0), hn::Set(ints, static_cast<int32_t>(m.row_bytes)));
  const std::byte* next = rows + m.row_bytes * kRows;
  auto out = hn::Zero(d);
  for (int64_t b = 0; b < m.n_in / kBlock; ++b) {
    // The group behind this one, in the order of memory: the hardware alone follows too few rows.
    for (int64_t at = 0; at < kRows * Blocks::kBytes; at += 64)
      hwy::Prefetch(next + b * kRows * Blocks::kBytes + at);
    const std::byte* block = rows + b * Blocks::kBytes;
    const TokenBlock x{hn::LoadDup128(bytes, m.x.q + b * kBlock),
                       hn::LoadDup128(bytes, m.x.q + b * kBlock + 16)};
    const std::byte* quarters[kQuarter];
    for (int64_t k = 0; k < kQuarter; ++k) quarters[k] = block + m.row_bytes * 4 * k;
    hn::Vec<I32> sums[4];
    for (int64_t i = 0; i < 4; ++i)
      sums[i] = dot_block<Blocks>(quarters, quants_at<Blocks>() + m.row_bytes * i, x);
    auto sum = sum_rows(sums);
    if constexpr (kExcess<Blocks> != 0)
      sum = hn::Sub(sum, hn::Set(ints, kExcess<Blocks> * m.x.sum[b]));
    const auto heads = load_heads(block, m.row_bytes, offsets);
    const auto scale = hn::Mul(from_half(heads), hn::Set(d, m.x.scale[b]));
    out = hn::MulAdd(hn::ConvertTo(d, sum), scale, out);
    if constexpr (Blocks::kHasMin) {
      out = hn::MulAdd(from_half(hn::ShiftRight<16>(heads)), hn::Set(d, m.x.scaled_sum[b]), out);
    }
  }
  hn::StoreU(out, d, y);
}

#endif  // HWY_TARGET != HWY_SCALAR

template <class Blocks>
void rows_of_type(const TokenMatvec& m, int64_t first, int64_t n, float* y) {
  int64_t i = 0;
#if HWY_TARGET != HWY_SCALAR
  for (; i + kRows <= n; i += kRows) group_of_rows<Blocks>(m, first + i, y + i);
  if (i < n && first + n >= kRows) {  // the last ones, with rows in front of them again
    std::array<float, kRows> last;
    group_of_rows<Blocks>(m, first + n - kRows, last.data());
    std::copy(last.end() - (n - i), last.end(), y + i);
    return;
  }
#endif
  for (; i < n; ++i) y[i] = plain_row<Blocks>(m, first + i);
}

void rows(const TokenMatvec& m, int64_t first, int64_t n, float* y) {
  switch (m.type) {
    case GGML_TYPE_Q4_0:
      return rows_of_type<Q4_0Blocks>(m, first, n, y);
    case GGML_TYPE_IQ4_NL:
      return rows_of_type<Iq4NlBlocks>(m, first, n, y);
    case GGML_TYPE_Q8_0:
      return rows_of_type<Q8_0Blocks>(m, first, n, y);
    default:
      return rows_of_type<Q4_1Blocks>(m, first, n, y);
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
  // 0 where its inverse would overflow: such values are nothing beside any weight.
  const bool is_tiny = !(max > 0x1p-120F);
  const auto factor = hn::Set(d, is_tiny || poison != 0 ? 0.0F : 127.0F / max);
  auto sums = hn::Zero(ints);
  for (int64_t i = 0; i < kBlock; i += n_lanes) {
    const auto v = hn::NearestInt(hn::Mul(hn::LoadU(d, x + i), factor));
    sums = hn::Add(sums, v);
    hn::StoreU(hn::DemoteTo(bytes, v), bytes, q + i);
  }
  *sum = hn::GetLane(hn::SumOfLanes(ints, sums));
  return (is_tiny ? 0.0F : max / 127.0F) + poison;
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
  return type == GGML_TYPE_Q4_0 || type == GGML_TYPE_Q4_1 || type == GGML_TYPE_Q8_0 ||
         type == GGML_TYPE_IQ4_NL;
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
  HWY_DYNAMIC_DISPATCH(rows)(m, first, n, y);
}

}  // namespace reprise
#endif  // HWY_ONCE
