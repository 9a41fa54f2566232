#include "core/kernels/window_columns.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/window_columns.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
// After it:
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/kernels/query_block-inl.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {
namespace {

constexpr float kNever = -200;  // a logit whose exponential is 0

int32_t round_up(int32_t n, int32_t unit) { return (n + unit - 1) / unit * unit; }

// The window's queries of one KV head: head after head, each with its rows side by side.
struct WindowQueries {
  int32_t n_rows;             // of one head
  int32_t n_padded;           // n_rows and what fills the last vector
  int32_t n_columns;          // of all heads, and what fills the last product
  std::vector<float> values;  // [n_embd_head][n_columns], scaled
  std::vector<float> lse;     // [n_columns]
};

WindowQueries window_queries(const AttentionRows& rows, int32_t n_window, int32_t g) {
  const AttentionShape& s = rows.shape;
  WindowQueries out;
  out.n_rows = n_window;
  out.n_padded = round_up(n_window, kLanes);
  out.n_columns = round_up(out.n_padded * s.n_group(), kQueryColumns);
  out.values.resize(static_cast<size_t>(out.n_columns) * s.n_embd_head);
  out.lse.resize(out.n_columns);
  for (int32_t h = 0; h < s.n_group(); ++h) {
    for (int32_t r = 0; r < n_window; ++r) {
      const int64_t i_token = rows.span.n_tokens - n_window + r;
      const int64_t head = i_token * s.n_head + static_cast<int64_t>(g) * s.n_group() + h;
      const int32_t column = h * out.n_padded + r;
      out.lse[column] = rows.lse[head];
      for (int32_t x = 0; x < s.n_embd_head; ++x) {
        out.values[static_cast<size_t>(x) * out.n_columns + column] =
            rows.q[head * s.n_embd_head + x] * s.scale;
      }
    }
  }
  return out;
}

// One entry, averaged over the heads of its group.
struct ColumnStats {
  float mean = 0;
  float var = 0;  // unbiased
  float last = 0;
};

// column [n_columns] holds the entry's logits and is overwritten with probabilities. Adds to
// `entropy`, lane by lane, the -a ln(a) of every probability: with a = exp(x) that is -a x, and no
// logarithm is needed. The published epsilon, -a ln(a + 1e-10), changes each term by at most 1e-10.
template <class V>
HWY_INLINE ColumnStats measure(const WindowQueries& queries, int32_t n_group,
                               float* HWY_RESTRICT column, V& entropy) {
  const F32 d;
  const int32_t n_rows = queries.n_rows;
  ColumnStats out;
  auto squares = hn::Zero(d);
  for (int32_t h = 0; h < n_group; ++h, column += queries.n_padded) {
    const float* lse = queries.lse.data() + static_cast<ptrdiff_t>(h) * queries.n_padded;
    auto sum = hn::Zero(d);  // NaN where a logit is: the exponential would hide it
    for (int32_t r = 0; r < n_rows; r += kLanes) {
      const auto is_row = hn::FirstN(d, static_cast<size_t>(std::min(kLanes, n_rows - r)));
      const auto x = hn::IfThenElse(
          is_row, hn::Sub(hn::LoadU(d, column + r), hn::LoadU(d, lse + r)), hn::Set(d, kNever));
      const auto a = hn::Exp(d, x);
      hn::StoreU(a, d, column + r);
      sum = hn::Add(hn::MulAdd(x, hn::Zero(d), sum), a);
      entropy = hn::NegMulAdd(a, x, entropy);
    }
    const float mean = hn::GetLane(hn::SumOfLanes(d, sum)) / static_cast<float>(n_rows);
    const auto center = hn::Set(d, mean);
    for (int32_t r = 0; r < n_rows; r += kLanes) {  // shifted: a flat column would cancel otherwise
      const auto is_row = hn::FirstN(d, static_cast<size_t>(std::min(kLanes, n_rows - r)));
      const auto a = hn::IfThenElseZero(is_row, hn::Sub(hn::LoadU(d, column + r), center));
      squares = hn::MulAdd(a, a, squares);
    }
    out.mean += mean;
    out.last += column[n_rows - 1];
  }
  const float scale = 1.0F / static_cast<float>(n_group);
  out.mean *= scale;
  out.last *= scale;
  out.var =
      scale * hn::GetLane(hn::SumOfLanes(d, squares)) / static_cast<float>(std::max(1, n_rows - 1));
  return out;
}

WindowSums window(const AttentionRows& rows, int32_t n_window, int32_t first_entry, int32_t first,
                  int32_t last, WindowStats& stats) {
  const AttentionShape& s = rows.shape;
  const size_t n_candidates = stats.mean.size() / s.n_head_kv;
  const F32 d;
  WindowSums sums;
  std::vector<float> keys(static_cast<size_t>(kTile) * s.n_embd_head);
  std::vector<float> logits;
  for (int32_t g = 0; g < s.n_head_kv; ++g) {
    const WindowQueries queries = window_queries(rows, n_window, g);
    logits.resize(static_cast<size_t>(kTile) * queries.n_columns);
    for (int32_t at = first; at < last; at += kTile) {
      const int32_t n = std::min(kTile, last - at);
      const std::byte* k =
          rows.k.data + rows.k.head_bytes * g + rows.k.row_bytes * (first_entry + at);
      load_rows_of(s.type, k, rows.k.row_bytes, n, s.n_embd_head, keys.data(), s.n_embd_head);
      tile_logits(keys.data(), n, queries.values.data(), queries.n_columns, s.n_embd_head,
                  logits.data());
      auto entropy = hn::Zero(d);
      double variance = 0;
      for (int32_t i = 0; i < n; ++i) {
        const ColumnStats column =
            measure(queries, s.n_group(),
                    logits.data() + static_cast<ptrdiff_t>(i) * queries.n_columns, entropy);
        const size_t to = n_candidates * g + at + i;
        stats.mean[to] = column.mean;
        stats.var[to] = column.var;
        stats.last[to] = column.last;
        variance += column.var;
      }
      sums.entropy += hn::GetLane(hn::SumOfLanes(d, entropy));
      sums.variance += variance * s.n_group();
    }
  }
  return sums;
}

void add_received(const AttentionRows& rows, int32_t g, int32_t first_entry, int32_t first,
                  int32_t last, float* sums) {
  const AttentionShape& s = rows.shape;
  const F32 d;
  const hn::RebindToSigned<F32> ints;
  const float scale = 1.0F / static_cast<float>(s.n_group());
  const int64_t n_rows = static_cast<int64_t>(s.n_group()) * rows.span.n_tokens;
  std::vector<float> queries(static_cast<size_t>(kBlockRows) * s.n_embd_head);
  std::vector<float> keys(static_cast<size_t>(kTile) * s.n_embd_head);
  std::vector<float> logits(static_cast<size_t>(kTile) * kBlockRows);
  std::vector<float> lse(kBlockRows);
  for (int64_t i_block = 0; i_block * kBlockRows < n_rows; ++i_block) {
    const QueryBlock block = query_block(s, rows.span, i_block);
    load_queries(s, rows.q, g, block, queries.data());
    for (int32_t r = 0; r < kBlockRows; ++r) {
      lse[r] = r < block.n ? rows.lse[head_of_row(s, g, block.first + r)]
                           : std::numeric_limits<float>::infinity();
    }
    const int32_t seen = std::min(last, block.end[block.n - 1] - first_entry);
    for (int32_t at = first; at < seen; at += kTile) {
      const int32_t n = std::min(kTile, seen - at);
      const std::byte* k =
          rows.k.data + rows.k.head_bytes * g + rows.k.row_bytes * (first_entry + at);
      load_rows_of(s.type, k, rows.k.row_bytes, n, s.n_embd_head, keys.data(), s.n_embd_head);
      tile_logits(keys.data(), n, queries.data(), kBlockRows, s.n_embd_head, logits.data());
      for (int32_t i = 0; i < n; ++i) {
        const auto entry = hn::Set(ints, first_entry + at + i);
        const float* row = logits.data() + static_cast<ptrdiff_t>(i) * kBlockRows;
        auto sum = hn::Zero(d);
        for (int32_t r = 0; r < kBlockRows; r += kLanes) {
          const auto is_row =
              hn::FirstN(d, static_cast<size_t>(std::clamp(block.n - r, 0, kLanes)));
          const auto is_later = hn::Gt(hn::LoadU(ints, block.end + r), entry);
          const auto is_seen = hn::And(is_row, hn::RebindMask(d, is_later));
          const auto x = hn::Sub(hn::LoadU(d, row + r), hn::LoadU(d, lse.data() + r));
          // NaN shows: the exponential would hide it.
          sum = hn::MulAdd(hn::IfThenElseZero(is_seen, x), hn::Zero(d), sum);
          sum = hn::Add(sum, hn::IfThenElseZero(is_seen, hn::Exp(d, x)));
        }
        sums[at + i] += scale * hn::GetLane(hn::SumOfLanes(d, sum));
      }
    }
  }
}

}  // namespace
}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reprise {
namespace {

HWY_EXPORT(window);
HWY_EXPORT(add_received);

}  // namespace

WindowSums window_columns(const AttentionRows& rows, int32_t n_window, int32_t first_entry,
                          int32_t first, int32_t last, WindowStats& stats) {
  return HWY_DYNAMIC_DISPATCH(window)(rows, n_window, first_entry, first, last, stats);
}

void add_attention_received(const AttentionRows& rows, int32_t g, int32_t first_entry,
                            int32_t first, int32_t last, float* sums) {
  HWY_DYNAMIC_DISPATCH(add_received)(rows, g, first_entry, first, last, sums);
}

}  // namespace reprise
#endif  // HWY_ONCE
