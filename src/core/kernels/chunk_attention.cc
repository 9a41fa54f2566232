#include "core/kernels/chunk_attention.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/chunk_attention.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
// After it:
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "core/kernels/tile_product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {
namespace {

constexpr int32_t kTileRows = kRegisters == 32 ? 8 : 4;
constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// C += A B or = A B for a width that is no multiple of a vector too: whole vectors, then values.
void wide_product(const TileA& a, int64_t n_rows, const float* b, int64_t b_row, int64_t n_k,
                  int64_t n_columns, float* c, int64_t c_row, TileInto into) {
  const auto rows = static_cast<int32_t>(n_rows);
  const auto depth = static_cast<int32_t>(n_k);
  int64_t at = 0;
  for (; at + 2 * kLanes <= n_columns; at += 2 * kLanes)
    column_product<kTileRows, 2>(a, rows, b + at, b_row, depth, c + at, c_row, into);
  for (; at + kLanes <= n_columns; at += kLanes)
    column_product<kTileRows, 1>(a, rows, b + at, b_row, depth, c + at, c_row, into);
  for (; at < n_columns; ++at) {
    for (int64_t r = 0; r < n_rows; ++r) {
      float sum = into == TileInto::kZero ? 0 : c[r * c_row + at];
      for (int64_t k = 0; k < n_k; ++k) sum += a.a[r * a.row + k * a.step] * b[k * b_row + at];
      c[r * c_row + at] = sum;
    }
  }
}

// Logits [0, n_visible) times scale become probabilities, those up to n_padded zero. A NaN among
// them makes all NaN.
HWY_INLINE void softmax_row(float* row, int64_t n_visible, int64_t n_padded, float scale) {
  const F32 d;
  const auto factor = hn::Set(d, scale);
  auto highest = hn::Set(d, kMinusInfinity);
  auto total = hn::Zero(d);
  for (int64_t i = 0; i < n_padded; i += kLanes) {
    const auto sees = hn::FirstN(d, n_visible > i ? static_cast<size_t>(n_visible - i) : 0);
    const auto logits = hn::Mul(hn::LoadU(d, row + i), factor);
    total = hn::Add(total, hn::IfThenElseZero(sees, hn::Sub(logits, logits)));  // 0, or NaN
    highest = hn::Max(highest, hn::IfThenElse(sees, logits, hn::Set(d, kMinusInfinity)));
  }
  highest = hn::MaxOfLanes(d, highest);
  for (int64_t i = 0; i < n_padded; i += kLanes) {
    const auto sees = hn::FirstN(d, n_visible > i ? static_cast<size_t>(n_visible - i) : 0);
    const auto logits = hn::Mul(hn::LoadU(d, row + i), factor);
    const auto power = hn::IfThenElseZero(sees, hn::Exp(d, hn::Sub(logits, highest)));
    total = hn::Add(total, power);
    hn::StoreU(power, d, row + i);
  }
  const auto inverse = hn::Div(hn::Set(d, 1.0F), hn::SumOfLanes(d, total));
  for (int64_t i = 0; i < n_padded; i += kLanes)
    hn::StoreU(hn::Mul(hn::LoadU(d, row + i), inverse), d, row + i);
}

int64_t padded(int64_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

int64_t chunk_scratch(int64_t n_rows, int64_t n_embd_head) {
  return padded(n_rows) * (n_rows + n_embd_head);
}

void chunk(const ChunkHead& head, float* scratch) {
  const int64_t n_padded = padded(head.n_rows);
  float* columns = scratch;                                // [n_embd_head][n_padded]: K transposed
  float* weights = scratch + head.n_embd_head * n_padded;  // [n_rows][n_padded]
  for (int64_t s = 0; s < n_padded; ++s) {
    const float* from = head.k + s * head.row;
    for (int64_t i = 0; i < head.n_embd_head; ++i)
      columns[i * n_padded + s] = s < head.n_rows ? from[i] : 0.0F;
  }
  wide_product({head.q, head.row, 1}, head.n_rows, columns, n_padded, head.n_embd_head, n_padded,
               weights, n_padded, TileInto::kZero);
  for (int64_t t = 0; t < head.n_rows; ++t) {
    softmax_row(weights + t * n_padded, head.is_causal ? t + 1 : head.n_rows, n_padded, head.scale);
  }
  wide_product({weights, n_padded, 1}, head.n_rows, head.v, head.row, head.n_rows, head.n_embd_head,
               head.out, head.out_row, TileInto::kZero);
}

int64_t folded_scratch(int64_t n_embd, int64_t n_head, int64_t n_memory, int64_t n_rows) {
  return padded(n_head * n_memory) * (n_embd + n_rows);
}

// A few values; a call of memmove would take longer.
HWY_INLINE void copy_short(const float* from, int64_t n, float* to) {
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) std::memcpy(to + i, from + i, 4 * sizeof(float));
  for (; i < n; ++i) to[i] = from[i];
}

// Row `t` of logits [n_memory][n_head] becomes probabilities over the memory rows it sees.
void memory_softmax(const FoldedAttention& a, int64_t t, float* row, int64_t n_padded) {
  const F32 d;
  const int64_t n_head = a.n_head;
  const int64_t n_memory = a.time.n_rows + a.observations.n_rows;
  const int64_t n_sees = a.is_causal ? std::min(n_memory, t + 2) : n_memory;
  for (int64_t j = 0; j < n_head; ++j) {
    float highest = row[j];
    for (int64_t s = 1; s < n_sees; ++s) highest = std::max(highest, row[s * n_head + j]);
    for (int64_t s = 0; s < n_sees; ++s) row[s * n_head + j] -= highest;
  }
  for (int64_t i = 0; i < n_padded; i += kLanes) {
    const auto logits = hn::LoadU(d, row + i);
    // Exp would make a number of NaN and infinity, the product does not.
    const auto is_number = hn::Sub(logits, logits);
    hn::StoreU(hn::Add(hn::Exp(d, logits), is_number), d, row + i);
  }
  std::fill(row + n_sees * n_head, row + n_memory * n_head, 0.0F);
  for (int64_t j = 0; j < n_head; ++j) {
    float sum = 0;
    for (int64_t s = 0; s < n_sees; ++s) sum += row[s * n_head + j];
    const float inverse = 1.0F / sum;
    for (int64_t s = 0; s < n_sees; ++s) row[s * n_head + j] *= inverse;
  }
}

void folded(const FoldedAttention& a, float* scratch) {
  const int64_t n_time = a.time.n_rows * a.n_head;
  const int64_t n_observed = a.observations.n_rows * a.n_head;
  const int64_t n_padded = padded(n_time + n_observed);
  float* keys = scratch;                           // [n_embd][n_padded]
  float* weights = scratch + a.n_embd * n_padded;  // [n_rows][n_padded]
  for (int64_t k = 0; k < a.n_embd; ++k) {
    float* to = keys + k * n_padded;
    copy_short(a.time.keys + k * n_time, n_time, to);
    copy_short(a.observations.keys + k * n_observed, n_observed, to + n_time);
    for (int64_t c = n_time + n_observed; c < n_padded; ++c) to[c] = 0;
  }
  for (int64_t r = 0; r < a.n_rows; ++r) {
    float* row = weights + r * n_padded;
    copy_short(a.time.biases, n_time, row);
    copy_short(a.observations.biases, n_observed, row + n_time);
    for (int64_t c = n_time + n_observed; c < n_padded; ++c) row[c] = 0;
    std::copy_n(a.bias, a.n_embd, a.out + r * a.n_embd);
  }
  wide_product({a.x, a.n_embd, 1}, a.n_rows, keys, n_padded, a.n_embd, n_padded, weights, n_padded,
               TileInto::kSum);
  for (int64_t r = 0; r < a.n_rows; ++r) memory_softmax(a, r, weights + r * n_padded, n_padded);
  wide_product({weights, n_padded, 1}, a.n_rows, a.time.values, a.n_embd, n_time, a.n_embd, a.out,
               a.n_embd, TileInto::kSum);
  wide_product({weights + n_time, n_padded, 1}, a.n_rows, a.observations.values, a.n_embd,
               n_observed, a.n_embd, a.out, a.n_embd, TileInto::kSum);
}

}  // namespace
}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reprise {
namespace {

HWY_EXPORT(chunk);
HWY_EXPORT(chunk_scratch);
HWY_EXPORT(folded);
HWY_EXPORT(folded_scratch);

}  // namespace

int64_t chunk_attention_scratch(int64_t n_rows, int64_t n_embd_head) {
  return HWY_DYNAMIC_DISPATCH(chunk_scratch)(n_rows, n_embd_head);
}

void chunk_attention(const ChunkHead& head, float* scratch) {
  HWY_DYNAMIC_DISPATCH(chunk)(head, scratch);
}

int64_t folded_attention_scratch(int64_t n_embd, int64_t n_head, int64_t n_memory, int64_t n_rows) {
  return HWY_DYNAMIC_DISPATCH(folded_scratch)(n_embd, n_head, n_memory, n_rows);
}

void folded_attention(const FoldedAttention& attention, float* scratch) {
  HWY_DYNAMIC_DISPATCH(folded)(attention, scratch);
}

}  // namespace reprise
#endif  // HWY_ONCE
