#include "core/kernels/decode_attention.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/decode_attention.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
// After it:
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>

#include "core/kernels/float_rows-inl.h"
#include "core/kernels/quantised_rows-inl.h"
#include "core/kernels/tile_product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {
namespace {

// Turns logits into weights exp(scale * logit - max), in both places; the sum of them and the max
// beside.
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
    hn::StoreU(weight, d, logits + i);
    sums = hn::Add(sums, weight);
  }
  float sum = poison + hn::GetLane(hn::SumOfLanes(d, sums));
  for (; i < n; ++i) sum += weights[i] = logits[i] = std::exp(logits[i] - max);
  *max_out = max;
  *sum_out = sum;
}

// How a part reads K and V, with as many heads as the registers hold: rows as F32, in vectors D, or
// blocks as integers.
template <class Rows, class D>
struct FloatRows {
  static constexpr int32_t kMostHeads = kRegisters == 32 ? 4 : 3;
  template <int32_t kHeads>
  static void logits(const float* q, int32_t n_embd_head, const RowRun& k, float* logits,
                     int64_t n_kv, float* /*out*/) {
    attend<Rows, kHeads>(D(), q, n_embd_head, k, logits, n_kv);
  }
  template <int32_t kHeads>
  static void values(const float* weights, const RowRun& v, float* out, int32_t n_embd_head) {
    weigh<Rows, kHeads>(D(), weights, DecodeAttention::kMaxPartRows, v, out, n_embd_head);
  }
};

#if HWY_TARGET != HWY_SCALAR
template <class Block>
struct BlockRows {
  static constexpr int32_t kMostHeads = kLanes == 4 && kRegisters == 16 ? 1 : kLanes == 16 ? 4 : 3;
  // The rounded query stands where the part's weighted rows will.
  template <int32_t kHeads>
  static void logits(const float* q, int32_t n_embd_head, const RowRun& k, float* logits,
                     int64_t n_kv, float* out) {
    const int32_t n_blocks = n_embd_head / kBlockValues;
    auto* rounded = reinterpret_cast<RoundedBlock*>(out);
    static_assert(sizeof(RoundedBlock) <= kBlockValues * sizeof(float));
    for (int32_t i = 0; i < kHeads * n_blocks; ++i)
      new (rounded + i) RoundedBlock(round_block(q + i * kBlockValues, Block::kOffset));
    block_logits<Block, kHeads>(rounded, n_blocks, k, logits, n_kv);
  }
  template <int32_t kHeads>
  static void values(const float* weights, const RowRun& v, float* out, int32_t n_embd_head) {
    weigh_rows<Block, kHeads>(weights, DecodeAttention::kMaxPartRows, v, out, n_embd_head);
  }
};
#endif

// K of what follows the entries of KV head g before `end`: the part that is read next.
const std::byte* k_behind(const DecodeAttention& a, int32_t g, int32_t end) {
  return end < a.n_kv ? a.k.data + a.k.head_bytes * g + a.k.row_bytes * end
                      : a.k.data + a.k.head_bytes * ((g + 1) % a.shape.n_head_kv);
}

// One part for some heads of a group.
template <class Kind, int32_t kHeads>
void part_of_heads(const DecodeAttention& a, int32_t g, int32_t h, int32_t first, int32_t n,
                   float* sums) {
  const AttentionShape& s = a.shape;
  const int32_t head = g * s.n_group() + h;
  float* logits = a.logits + static_cast<int64_t>(head) * a.n_kv + first;
  float* out = sums + static_cast<int64_t>(h) * s.n_embd_head;
  const RowRun v{a.v.data + a.v.head_bytes * g + a.v.row_bytes * first, a.v.row_bytes, n,
                 k_behind(a, g, first + n)};
  const RowRun k{a.k.data + a.k.head_bytes * g + a.k.row_bytes * first, a.k.row_bytes, n, v.first};
  Kind::template logits<kHeads>(a.q + static_cast<int64_t>(head) * s.n_embd_head, s.n_embd_head, k,
                                logits, a.n_kv, out);
  // Of every head: the weighted rows, the max and the sum; weights of one part beside them.
  float weights[kHeads * DecodeAttention::kMaxPartRows];
  for (int32_t i = 0; i < kHeads; ++i) {
    float* meta = sums + s.n_group() * s.n_embd_head + 2 * (h + i);
    float* of_head = weights + i * DecodeAttention::kMaxPartRows;
    exponentiate(logits + static_cast<int64_t>(i) * a.n_kv, n, s.scale, meta, meta + 1, of_head);
    std::fill(of_head + n, of_head + (n + kLanes - 1) / kLanes * kLanes, 0.0F);
  }
  Kind::template values<kHeads>(weights, v, out, s.n_embd_head);
}

// The heads of a group from h on, kHeads at a time while there are so many.
template <class Kind, int32_t kHeads = Kind::kMostHeads>
void part_of_group(const DecodeAttention& a, int32_t g, int32_t h, int32_t first, int32_t n,
                   float* sums) {
  for (; h + kHeads <= a.shape.n_group(); h += kHeads)
    part_of_heads<Kind, kHeads>(a, g, h, first, n, sums);
  if constexpr (kHeads > 1) part_of_group<Kind, kHeads - 1>(a, g, h, first, n, sums);
}

template <class Rows>
void part_of_floats(const DecodeAttention& a, int32_t g, int32_t first, int32_t n, float* sums) {
  if (a.shape.n_embd_head % kLanes == 0) {
    part_of_group<FloatRows<Rows, F32>>(a, g, 0, first, n, sums);
  } else {
    part_of_group<FloatRows<Rows, hn::CappedTag<float, 1>>>(a, g, 0, first, n, sums);
  }
}

void part(const DecodeAttention& a, int32_t g, int32_t first, int32_t n, float* sums) {
  switch (a.shape.type) {
    case GGML_TYPE_F32:
      return part_of_floats<F32Rows>(a, g, first, n, sums);
#if HWY_TARGET == HWY_SCALAR
    case GGML_TYPE_Q8_0:
      return part_of_floats<Q8Rows>(a, g, first, n, sums);
    case GGML_TYPE_Q4_0:
      return part_of_floats<Q4Rows>(a, g, first, n, sums);
#else
    case GGML_TYPE_Q8_0:
      return part_of_group<BlockRows<Q8Block>>(a, g, 0, first, n, sums);
    case GGML_TYPE_Q4_0:
      return part_of_group<BlockRows<Q4Block>>(a, g, 0, first, n, sums);
#endif
    default:
      return part_of_floats<F16Rows>(a, g, first, n, sums);
  }
}

void multiply(float* values, int32_t n, float factor) {
  const hn::ScalableTag<float> d;
  const auto n_lanes = static_cast<int32_t>(hn::Lanes(d));
  const auto factors = hn::Set(d, factor);
  int32_t i = 0;
  for (; i + n_lanes <= n; i += n_lanes) {
    hn::StoreU(hn::Mul(hn::LoadU(d, values + i), factors), d, values + i);
  }
  for (; i < n; ++i) values[i] *= factor;
}

}  // namespace
}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reprise {
namespace {

HWY_EXPORT(part);
HWY_EXPORT(multiply);

// In all KV heads, while a part is shorter than kMaxPartRows: enough for many threads to share.
constexpr int32_t kMostShortParts = 32;

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
  return static_cast<int32_t>(std::clamp<int64_t>((n + 15) / 16 * 16, kMinRows, kMaxPartRows));
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
      meta(i)[0] = weight;  // for decode_attention_probs
    }
  }
}

void decode_attention_probs(const DecodeAttention& a, int32_t g) {
  const AttentionShape& s = a.shape;
  const int32_t n_group = s.n_group();
  const int32_t n_rows = a.part_rows();
  for (int32_t i = 0; i < a.n_parts(); ++i) {
    const float* meta = part_sums(a, g, i) + static_cast<int64_t>(n_group) * s.n_embd_head;
    for (int32_t h = 0; h < n_group; ++h) {
      float* weights = a.logits + (static_cast<int64_t>(g) * n_group + h) * a.n_kv + i * n_rows;
      HWY_DYNAMIC_DISPATCH(multiply)(weights, std::min(n_rows, a.n_kv - i * n_rows), meta[2 * h]);
    }
  }
}

}  // namespace reprise
#endif  // HWY_ONCE
