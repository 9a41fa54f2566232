#include "core/kernels/prefill_attention.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/prefill_attention.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
// After it:
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/kernels/query_block-inl.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {
namespace {

constexpr int32_t kRows = kBlockRows;
constexpr int32_t kOutRows = 6;  // of a product in registers
constexpr int32_t kOutVecs = kRegisters == 32 ? 4 : 2;
constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

int32_t padded(int32_t n_embd_head) { return (n_embd_head + kLanes - 1) / kLanes * kLanes; }

int64_t scratch_size(int32_t n_embd_head) {
  const int64_t n_padded = padded(n_embd_head);
  return kRows * n_embd_head + kTile * (n_embd_head + n_padded) + kTile * kRows + kRows * n_padded +
         3 * kRows;
}

// What a part works on, in the scratch of its thread.
struct Workspace {
  Workspace(float* at, int32_t n_embd_head) : n_padded(padded(n_embd_head)) {
    const auto take = [&](int64_t n) {
      float* taken = at;
      at += n;
      return taken;
    };
    queries = take(kRows * n_embd_head);
    keys = take(kTile * n_embd_head);
    values = take(kTile * n_padded);
    weights = take(kTile * kRows);
    sum = take(kRows * n_padded);
    max = take(kRows);
    total = take(kRows);
    factor = take(kRows);
  }

  int32_t n_padded;
  float* queries;  // [n_embd_head][kRows], scaled
  float* keys;     // [kTile][n_embd_head]
  float* values;   // [kTile][n_padded]
  float* weights;  // [kTile][kRows]
  float* sum;      // [kRows][n_padded]: weighted values so far
  float* max;      // [kRows] of the logits so far
  float* total;    // [kRows] of the weights so far
  float* factor;   // [kRows] by which a new max shrinks what was before
};

// Turns the logits of entries [first, first + n) into weights, the max and the total going on.
// Returns whether any max has grown.
bool soften(const QueryBlock& rows, int32_t first, int32_t n, Workspace& w) {
  const F32 d;
  const hn::RebindToSigned<F32> ints;
  const auto nothing = hn::Set(d, kMinusInfinity);
  // Most tiles are seen whole.
  const bool is_masked = rows.begin[rows.n - 1] > first || rows.end[0] < first + n;
  bool has_grown = false;
  for (int32_t r = 0; r < kRows; r += kLanes) {
    float* column = w.weights + r;
    const auto begin = hn::LoadU(ints, rows.begin + r);
    const auto end = hn::LoadU(ints, rows.end + r);
    const auto before = hn::LoadU(d, w.max + r);
    auto max = before;
    // NaN where a logit is NaN or infinite, else 0: maxima and exponentials would hide such a
    // logit.
    auto poison = hn::Zero(d);
    for (int32_t i = 0; i < n; ++i) {
      auto logit = hn::LoadU(d, column + static_cast<ptrdiff_t>(i) * kRows);
      if (is_masked) {
        const auto at = hn::Set(ints, first + i);
        const auto is_seen = hn::AndNot(hn::Gt(begin, at), hn::Gt(end, at));
        const auto mask = hn::RebindMask(d, is_seen);
        poison = hn::MulAdd(hn::IfThenElseZero(mask, logit), hn::Zero(d), poison);
        logit = hn::IfThenElse(mask, logit, nothing);
        hn::StoreU(logit, d, column + static_cast<ptrdiff_t>(i) * kRows);
      } else {
        poison = hn::MulAdd(logit, hn::Zero(d), poison);
      }
      max = hn::Max(max, logit);
    }
    // A row that has seen nothing yet has no max to subtract.
    const auto base = hn::IfThenElse(hn::Eq(max, nothing), hn::Zero(d), max);
    const auto factor = hn::Exp(d, hn::Sub(before, base));
    auto total = hn::MulAdd(hn::LoadU(d, w.total + r), factor, poison);
    for (int32_t i = 0; i < n; ++i) {
      float* at = column + static_cast<ptrdiff_t>(i) * kRows;
      const auto weight = hn::Exp(d, hn::Sub(hn::LoadU(d, at), base));
      hn::StoreU(weight, d, at);
      total = hn::Add(total, weight);
    }
    hn::StoreU(max, d, w.max + r);
    hn::StoreU(total, d, w.total + r);
    hn::StoreU(factor, d, w.factor + r);
    has_grown = has_grown || !hn::AllTrue(d, hn::Eq(max, before));
  }
  return has_grown;
}

void shrink_sums(Workspace& w) {
  const F32 d;
  for (int32_t r = 0; r < kRows; ++r) {
    if (w.factor[r] == 1) continue;
    const auto factor = hn::Set(d, w.factor[r]);
    float* sum = w.sum + static_cast<ptrdiff_t>(r) * w.n_padded;
    for (int32_t x = 0; x < w.n_padded; x += kLanes)
      hn::StoreU(hn::Mul(hn::LoadU(d, sum + x), factor), d, sum + x);
  }
}

// sum += weights x values.
void add_values(int32_t n, Workspace& w) {
  const TileA weights{w.weights, 1, kRows};
  int32_t x = 0;
  for (; x + kOutVecs * kLanes <= w.n_padded; x += kOutVecs * kLanes) {
    column_product<kOutRows, kOutVecs>(weights, kRows, w.values + x, w.n_padded, n, w.sum + x,
                                       w.n_padded, TileInto::kSum);
  }
  for (; x < w.n_padded; x += kLanes) {
    column_product<kOutRows, 1>(weights, kRows, w.values + x, w.n_padded, n, w.sum + x, w.n_padded,
                                TileInto::kSum);
  }
}

void store(const PrefillAttention& a, int32_t g, const QueryBlock& rows, const Workspace& w) {
  const int32_t n_embd_head = a.shape.n_embd_head;
  for (int32_t r = 0; r < rows.n; ++r) {
    const int64_t head = head_of_row(a.shape, g, rows.first + r);
    const float* sum = w.sum + static_cast<ptrdiff_t>(r) * w.n_padded;
    const float factor = 1.0F / w.total[r];
    float* out = a.out + head * n_embd_head;
    for (int32_t x = 0; x < n_embd_head; ++x) out[x] = sum[x] * factor;
    if (a.lse != nullptr) a.lse[head] = w.max[r] + std::log(w.total[r]);
  }
}

void part(const PrefillAttention& a, int32_t g, int32_t i_part, float* scratch) {
  const AttentionShape& s = a.shape;
  Workspace w(scratch, s.n_embd_head);
  const QueryBlock rows = query_block(s, a.span, i_part);
  load_queries(s, a.q, g, rows, w.queries);
  std::fill_n(w.sum, static_cast<ptrdiff_t>(kRows) * w.n_padded, 0.0F);
  std::fill_n(w.max, kRows, kMinusInfinity);
  std::fill_n(w.total, kRows, 0.0F);
  const std::byte* k = a.k.data + a.k.head_bytes * g;
  const std::byte* v = a.v.data + a.v.head_bytes * g;
  const int32_t last = rows.end[rows.n - 1];
  for (int32_t first = rows.begin[0]; first < last; first += kTile) {
    const int32_t n = std::min(kTile, last - first);
    load_rows_of(s.type, k + a.k.row_bytes * first, a.k.row_bytes, n, s.n_embd_head, w.keys,
                 s.n_embd_head);
    tile_logits(w.keys, n, w.queries, kRows, s.n_embd_head, w.weights);
    if (soften(rows, first, n, w)) shrink_sums(w);
    load_rows_of(s.type, v + a.v.row_bytes * first, a.v.row_bytes, n, s.n_embd_head, w.values,
                 w.n_padded);
    add_values(n, w);
  }
  store(a, g, rows, w);
}

}  // namespace
}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reprise {
namespace {

HWY_EXPORT(part);
HWY_EXPORT(scratch_size);

}  // namespace

int64_t prefill_attention_scratch(const AttentionShape& shape) {
  return HWY_DYNAMIC_DISPATCH(scratch_size)(shape.n_embd_head);
}

void prefill_attention_part(const PrefillAttention& a, int32_t g, int32_t i_part, float* scratch) {
  HWY_DYNAMIC_DISPATCH(part)(a, g, i_part, scratch);
}

}  // namespace reprise
#endif  // HWY_ONCE
