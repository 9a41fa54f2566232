// Queries of one KV head side by side, compiled once per SIMD target.
#if defined(REPRISE_QUERY_BLOCK_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef REPRISE_QUERY_BLOCK_INL
#undef REPRISE_QUERY_BLOCK_INL
#else
#define REPRISE_QUERY_BLOCK_INL
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

#include "core/kernels/attention.h"
#include "core/kernels/logit_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {

// Query rows (one query head of one token; the heads of a token next to each other) that one
// product of logits takes together.
inline constexpr int32_t kBlockRows = kQueryBlockRows;
static_assert(kBlockRows % kQueryColumns == 0 && kBlockRows % kLanes == 0);

// Rows [first, first + n) of KV head g; what stands behind them repeats the last.
struct QueryBlock {
  int64_t first = 0;
  int32_t n = 0;
  int32_t begin[kBlockRows];  // entries that each row sees
  int32_t end[kBlockRows];
};

inline QueryBlock query_block(const AttentionShape& shape, const CausalSpan& span,
                              int64_t i_block) {
  const int64_t n_rows = static_cast<int64_t>(shape.n_group()) * span.n_tokens;
  QueryBlock rows;
  rows.first = i_block * kBlockRows;
  rows.n = static_cast<int32_t>(std::min<int64_t>(kBlockRows, n_rows - rows.first));
  for (int32_t r = 0; r < kBlockRows; ++r) {
    const auto i_token =
        static_cast<int32_t>((rows.first + std::min(r, rows.n - 1)) / shape.n_group());
    rows.begin[r] = span.begin(i_token);
    rows.end[r] = span.end(i_token);
  }
  return rows;
}

// Where a row of KV head g stands in q [n_embd_head, n_head, n_tokens], in heads.
inline int64_t head_of_row(const AttentionShape& shape, int32_t g, int64_t row) {
  const int32_t n_group = shape.n_group();
  return row / n_group * shape.n_head + static_cast<int64_t>(g) * n_group + row % n_group;
}

// queries [n_embd_head][kBlockRows], scaled; zeros behind the block's rows.
inline void load_queries(const AttentionShape& shape, const float* q, int32_t g,
                         const QueryBlock& rows, float* HWY_RESTRICT queries) {
  for (int32_t r = 0; r < kBlockRows; ++r) {
    const float* head = q + head_of_row(shape, g, rows.first + r) * shape.n_embd_head;
    for (int32_t x = 0; x < shape.n_embd_head; ++x)
      queries[x * kBlockRows + r] = r < rows.n ? head[x] * shape.scale : 0;
  }
}

}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // REPRISE_QUERY_BLOCK_INL
