#include "core/kernels/decode_attention.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/decode_attention.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
// After it:
#include <hwy/cache_control.h>
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/kernels/rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {
namespace {

constexpr size_t kCacheLine = 64;
constexpr size_t kPrefetchBytes = 4096;

// Sums of four vectors, as four values side by side.
template <class D, class V>
HWY_INLINE void store_four_sums(D d, V a, V b, V c, V e, float* HWY_RESTRICT to) {
#if HWY_TARGET == HWY_SCALAR
  to[0] = hn::GetLane(a);
  to[1] = hn::GetLane(b);
  to[2] = hn::GetLane(c);
  to[3] = hn::GetLane(e);
  (void)d;
#else
  if constexpr (hn::MaxLanes(D()) < 4) {
    to[0] = hn::GetLane(hn::SumOfLanes(d, a));
    to[1] = hn::GetLane(hn::SumOfLanes(d, b));
    to[2] = hn::GetLane(hn::SumOfLanes(d, c));
    to[3] = hn::GetLane(hn::SumOfLanes(d, e));
  } else {
    // Within each 128-bit block: sums of a, b, c and e.
    const hn::RepartitionToWide<D> pairs;
    const auto ab = hn::Add(hn::InterleaveLower(d, a, b), hn::InterleaveUpper(d, a, b));
    const auto ce = hn::Add(hn::InterleaveLower(d, c, e), hn::InterleaveUpper(d, c, e));
    const auto low = hn::InterleaveLower(pairs, hn::BitCast(pairs, ab), hn::BitCast(pairs, ce));
    const auto high = hn::InterleaveUpper(pairs, hn::BitCast(pairs, ab), hn::BitCast(pairs, ce));
    auto blocks = hn::Add(hn::BitCast(d, low), hn::BitCast(d, high));
    if constexpr (hn::MaxLanes(D()) == 16) {
      const hn::Half<D> half;
      const hn::Half<decltype(half)> quarter;
      const auto two = hn::Add(hn::LowerHalf(half, blocks), hn::UpperHalf(half, blocks));
      hn::StoreU(hn::Add(hn::LowerHalf(quarter, two), hn::UpperHalf(quarter, two)), quarter, to);
    } else if constexpr (hn::MaxLanes(D()) == 8) {
      const hn::Half<D> half;
      hn::StoreU(hn::Add(hn::LowerHalf(half, blocks), hn::UpperHalf(half, blocks)), half, to);
    } else {
      hn::StoreU(blocks, d, to);
    }
  }
#endif
}

// Asks for what is read some rows later: the hardware alone looks too short a way ahead to keep the
// memory busy.
HWY_INLINE void prefetch_rows(const std::byte* rows, size_t n_bytes) {
  for (size_t at = 0; at < n_bytes; at += kCacheLine) hwy::Prefetch(rows + kPrefetchBytes + at);
}

// Logits of kHeads heads for four entries, and for one.
template <class Rows, int32_t kHeads, class D>
HWY_INLINE void four_logits(D d, const float* HWY_RESTRICT q, int32_t n_embd_head,
                            const std::byte* k, size_t row_bytes, float* HWY_RESTRICT logits,
                            int64_t n_kv) {
  const auto n_lanes = static_cast<int32_t>(hn::Lanes(d));
  hn::Vec<D> sum[4][kHeads];
  for (auto& row : sum)
    for (auto& value : row) value = hn::Zero(d);
  for (int32_t x = 0; x < n_embd_head; x += n_lanes) {
    const auto k0 = Rows::load(d, k, x);
    const auto k1 = Rows::load(d, k + row_bytes, x);
    const auto k2 = Rows::load(d, k + 2 * row_bytes, x);
    const auto k3 = Rows::load(d, k + 3 * row_bytes, x);
    for (int32_t h = 0; h < kHeads; ++h) {
      const auto value = hn::LoadU(d, q + static_cast<ptrdiff_t>(h) * n_embd_head + x);
      sum[0][h] = hn::MulAdd(k0, value, sum[0][h]);
      sum[1][h] = hn::MulAdd(k1, value, sum[1][h]);
      sum[2][h] = hn::MulAdd(k2, value, sum[2][h]);
      sum[3][h] = hn::MulAdd(k3, value, sum[3][h]);
    }
  }
  for (int32_t h = 0; h < kHeads; ++h)
    store_four_sums(d, sum[0][h], sum[1][h], sum[2][h], sum[3][h], logits + h * n_kv);
}

template <class Rows, class D>
HWY_INLINE float one_logit(D d, const float* q, int32_t n_embd_head, const std::byte* k) {
  auto sum = hn::Zero(d);
  for (int32_t x = 0; x < n_embd_head; x += static_cast<int32_t>(hn::Lanes(d)))
    sum = hn::MulAdd(Rows::load(d, k, x), hn::LoadU(d, q + x), sum);
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

template <class Rows, int32_t kHeads, class D>
void attend(D d, const float* q, int32_t n_embd_head, const std::byte* k, size_t row_bytes,
            int32_t n, float* logits, int64_t n_kv) {
  int32_t i = 0;
  for (; i + 4 <= n; i += 4) {
    prefetch_rows(k + row_bytes * i, 4 * row_bytes);
    four_logits<Rows, kHeads>(d, q, n_embd_head, k + row_bytes * i, row_bytes, logits + i, n_kv);
  }
  for (; i < n; ++i) {
    for (int32_t h = 0; h < kHeads; ++h)
      logits[h * n_kv + i] = one_logit<Rows>(d, q + static_cast<ptrdiff_t>(h) * n_embd_head,
                                             n_embd_head, k + row_bytes * i);
  }
}

// out[kHeads][kVecs vectors] = weights [kHeads] x rows of V.
template <class Rows, int32_t kHeads, int32_t kVecs, class D>
HWY_INLINE void weigh_columns(D d, const float* HWY_RESTRICT weights, int64_t n_kv,
                              const std::byte* v, size_t row_bytes, int32_t x, int32_t n,
                              float* HWY_RESTRICT out, int32_t n_embd_head) {
  const auto n_lanes = static_cast<int32_t>(hn::Lanes(d));
  hn::Vec<D> sum[kHeads][kVecs];
  for (auto& row : sum)
    for (auto& value : row) value = hn::Zero(d);
  for (int32_t i = 0; i < n; ++i) {
    prefetch_rows(v + row_bytes * i, row_bytes);
    hn::Vec<D> value[kVecs];
    for (int32_t c = 0; c < kVecs; ++c)
      value[c] = Rows::load(d, v + row_bytes * i, x + c * n_lanes);
    for (int32_t h = 0; h < kHeads; ++h) {
      const auto weight = hn::Set(d, weights[h * n_kv + i]);
      for (int32_t c = 0; c < kVecs; ++c) sum[h][c] = hn::MulAdd(weight, value[c], sum[h][c]);
    }
  }
  for (int32_t h = 0; h < kHeads; ++h)
    for (int32_t c = 0; c < kVecs; ++c)
      hn::StoreU(sum[h][c], d, out + static_cast<ptrdiff_t>(h) * n_embd_head + x + c * n_lanes);
}

template <class Rows, int32_t kHeads, class D>
void weigh(D d, const float* weights, int64_t n_kv, const std::byte* v, size_t row_bytes, int32_t n,
           float* out, int32_t n_embd_head) {
  const auto n_lanes = static_cast<int32_t>(hn::Lanes(d));
  int32_t x = 0;
  for (; x + 4 * n_lanes <= n_embd_head; x += 4 * n_lanes)
    weigh_columns<Rows, kHeads, 4>(d, weights, n_kv, v, row_bytes, x, n, out, n_embd_head);
  for (; x < n_embd_head; x += n_lanes)
    weigh_columns<Rows, kHeads, 1>(d, weights, n_kv, v, row_bytes, x, n, out, n_embd_head);
}

// Turns logits into weights exp(scale * logit - max); the sum of them and the max beside.
HWY_INLINE void exponentiate(float* HWY_RESTRICT logits, int32_t n, float scale, float* max_out,
                             float* sum_out, float* HWY_RESTRICT weights) {
  const hn::ScalableTag<float> d;
  const auto n_lanes = static_cast<int32_t>(hn::Lanes(d));
  const auto factor = hn::Set(d, scale);
  float max = -std::numeric_limits<float>::infinity();
  auto maxima = hn::Set(d, max);
  // NaN where a logit is NaN or infinite, else 0: maxima and exponentials would hide such a logit.
  auto poisons = hn::Zero(d);
  int32_t i = 0;
  for (; i + n_lanes <= n; i += n_lanes) {
    const auto x = hn::Mul(hn::LoadU(d, logits + i), factor);
    hn::StoreU(x, d, logits + i);
    maxima = hn::Max(maxima, x);
    poisons = hn::MulAdd(x, hn::Zero(d), poisons);
  }
  max = hn::GetLane(hn::MaxOfLanes(d, maxima));
  float poison = hn::GetLane(hn::SumOfLanes(d, poisons));
  for (; i < n; ++i) {
    max = std::max(max, logits[i] *= scale);
    poison += logits[i] * 0;
  }
  const auto most = hn::Set(d, max);
  auto sums = hn::Zero(d);
  for (i = 0; i + n_lanes <= n; i += n_lanes) {
    const auto weight = hn::Exp(d, hn::Sub(hn::LoadU(d, logits + i), most));
    hn::StoreU(weight, d, weights + i);
    sums = hn::Add(sums, weight);
  }
  float sum = poison + hn::GetLane(hn::SumOfLanes(d, sums));
  for (; i < n; ++i) sum += weights[i] = std::exp(logits[i] - max);
  *max_out = max;
  *sum_out = sum;
}

// One part for some heads of a group that fit the registers.
template <class Rows, int32_t kHeads, class D>
void part_of_heads(D d, const DecodeAttention& a, int32_t g, int32_t h, int32_t first, int32_t n,
                   float* sums) {
  const AttentionShape& s = a.shape;
  const int32_t head = g * s.n_group() + h;
  float* logits = a.logits + static_cast<int64_t>(head) * a.n_kv + first;
  const std::byte* k = a.k.data + a.k.head_bytes * g + a.k.row_bytes * first;
  const std::byte* v = a.v.data + a.v.head_bytes * g + a.v.row_bytes * first;
  attend<Rows, kHeads>(d, a.q + static_cast<int64_t>(head) * s.n_embd_head, s.n_embd_head, k,
                       a.k.row_bytes, n, logits, a.n_kv);
  // Of every head: the weighted rows, the max and the sum; weights of one part beside them.
  float weights[kHeads * DecodeAttention::kMaxPartRows];
  for (int32_t i = 0; i < kHeads; ++i) {
    float* meta = sums + s.n_group() * s.n_embd_head + 2 * (h + i);
    exponentiate(logits + static_cast<int64_t>(i) * a.n_kv, n, s.scale, meta, meta + 1,
                 weights + i * DecodeAttention::kMaxPartRows);
  }
  weigh<Rows, kHeads>(d, weights, DecodeAttention::kMaxPartRows, v, a.v.row_bytes, n,
                      sums + static_cast<int64_t>(h) * s.n_embd_head, s.n_embd_head);
}

template <class Rows, class D>
void part_of_rows(D d, const DecodeAttention& a, int32_t g, int32_t first, int32_t n, float* sums) {
  const int32_t n_group = a.shape.n_group();
  int32_t h = 0;
  for (; h + 3 <= n_group; h += 3) part_of_heads<Rows, 3>(d, a, g, h, first, n, sums);
  for (; h + 2 <= n_group; h += 2) part_of_heads<Rows, 2>(d, a, g, h, first, n, sums);
  for (; h < n_group; ++h) part_of_heads<Rows, 1>(d, a, g, h, first, n, sums);
}

template <class Rows>
void part_of_type(const DecodeAttention& a, int32_t g, int32_t first, int32_t n, float* sums) {
  const hn::ScalableTag<float> d;
  if (a.shape.n_embd_head % static_cast<int32_t>(hn::Lanes(d)) == 0) {
    part_of_rows<Rows>(d, a, g, first, n, sums);
  } else {
    part_of_rows<Rows>(hn::CappedTag<float, 1>(), a, g, first, n, sums);
  }
}

void part(const DecodeAttention& a, int32_t g, int32_t first, int32_t n, float* sums) {
  switch (a.shape.type) {
    case GGML_TYPE_F32:
      return part_of_type<F32Rows>(a, g, first, n, sums);
    case GGML_TYPE_Q8_0:
      return part_of_type<Q8Rows>(a, g, first, n, sums);
    case GGML_TYPE_Q4_0:
      return part_of_type<Q4Rows>(a, g, first, n, sums);
    default:
      return part_of_type<F16Rows>(a, g, first, n, sums);
  }
}

void probs(float* values, int32_t n, float max, float sum) {
  const hn::ScalableTag<float> d;
  const auto n_lanes = static_cast<int32_t>(hn::Lanes(d));
  const auto most = hn::Set(d, max);
  const auto factor = hn::Set(d, 1.0F / sum);
  int32_t i = 0;
  for (; i + n_lanes <= n; i += n_lanes) {
    const auto x = hn::Exp(d, hn::Sub(hn::LoadU(d, values + i), most));
    hn::StoreU(hn::Mul(x, factor), d, values + i);
  }
  for (; i < n; ++i) values[i] = std::exp(values[i] - max) / sum;
}

}  // namespace
}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reprise {
namespace {

HWY_EXPORT(part);
HWY_EXPORT(probs);

// In all KV heads, while a part is shorter than kMaxPartRows: enough for many threads to share.
constexpr int32_t kMostShortParts = 16;

// Of one part of a KV head: weighted rows [n_embd_head, n_group], then max and sum of each head.
int64_t part_size(const AttentionShape& shape) {
  return static_cast<int64_t>(shape.n_group()) * (shape.n_embd_head + 2);
}

float* part_sums(const DecodeAttention& a, int32_t g, int32_t i_part) {
  return a.sums + part_size(a.shape) * (static_cast<int64_t>(g) * a.n_parts() + i_part);
}

}  // namespace

int32_t DecodeAttention::part_rows() const {
  constexpr int32_t kMinRows = 32;
  const int64_t n =
      (static_cast<int64_t>(n_kv) * shape.n_head_kv + kMostShortParts - 1) / kMostShortParts;
  return static_cast<int32_t>(std::clamp<int64_t>((n + 3) / 4 * 4, kMinRows, kMaxPartRows));
}

int64_t decode_sums_size(const AttentionShape& shape, int32_t n_kv) {
  // More parts than any smaller n_kv has either.
  const int64_t n_parts = n_kv / DecodeAttention::kMaxPartRows + kMostShortParts + 1;
  return part_size(shape) * shape.n_head_kv * n_parts;
}

void decode_attention_part(const DecodeAttention& a, int32_t g, int32_t i_part) {
  const int32_t first = i_part * a.part_rows();
  HWY_DYNAMIC_DISPATCH(part)
  (a, g, first, std::min(a.part_rows(), a.n_kv - first), part_sums(a, g, i_part));
}

void decode_attention_merge(const DecodeAttention& a, int32_t g) {
  const AttentionShape& s = a.shape;
  const int32_t n_group = s.n_group();
  const int32_t n_parts = a.n_parts();
  for (int32_t h = 0; h < n_group; ++h) {
    const auto meta = [&](int32_t i) {
      return part_sums(a, g, i) + static_cast<int64_t>(n_group) * s.n_embd_head + 2 * h;
    };
    float max = meta(0)[0];
    for (int32_t i = 1; i < n_parts; ++i) max = std::max(max, meta(i)[0]);
    float sum = 0;
    for (int32_t i = 0; i < n_parts; ++i) sum += meta(i)[1] * std::exp(meta(i)[0] - max);
    float* out = a.out + (static_cast<int64_t>(g) * n_group + h) * s.n_embd_head;
    std::fill_n(out, s.n_embd_head, 0.0F);
    for (int32_t i = 0; i < n_parts; ++i) {
      const float weight = std::exp(meta(i)[0] - max) / sum;
      const float* rows = part_sums(a, g, i) + static_cast<int64_t>(h) * s.n_embd_head;
      for (int32_t x = 0; x < s.n_embd_head; ++x) out[x] += weight * rows[x];
    }
    // For decode_attention_probs: the whole head's max and sum.
    meta(0)[0] = max;
    meta(0)[1] = sum;
  }
}

void decode_attention_probs(const DecodeAttention& a, int32_t g) {
  const AttentionShape& s = a.shape;
  const int32_t n_group = s.n_group();
  const float* meta = part_sums(a, g, 0) + static_cast<int64_t>(n_group) * s.n_embd_head;
  for (int32_t h = 0; h < n_group; ++h) {
    float* logits = a.logits + (static_cast<int64_t>(g) * n_group + h) * a.n_kv;
    HWY_DYNAMIC_DISPATCH(probs)(logits, a.n_kv, meta[2 * h], meta[2 * h + 1]);
  }
}

}  // namespace reprise
#endif  // HWY_ONCE
