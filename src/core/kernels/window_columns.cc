#include "core/kernels/window_columns.h"

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <algorithm>

namespace reprise {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

constexpr int32_t kBlock = 64;  // columns at a time: the accumulators stay in the first cache

// The window's rows of one head over kBlock columns.
struct HeadColumns {
  HWY_ALIGN float mean[kBlock];
  HWY_ALIGN float var[kBlock];
  HWY_ALIGN float entropy[kBlock];
};

// The first n values; zeros fill the rest of the vector.
template <class D>
hn::Vec<D> load_first(D d, const float* from, int32_t n) {
  if (n == static_cast<int32_t>(hn::Lanes(d))) return hn::LoadU(d, from);
  HWY_ALIGN float padded[hn::MaxLanes(d)] = {};
  std::copy_n(from, n, padded);
  return hn::Load(d, padded);
}

void measure_head(const float* rows, int64_t row_stride, int32_t n_rows, int32_t n_columns,
                  HeadColumns& out) {
  const hn::CappedTag<float, kBlock> d;
  const auto epsilon = hn::Set(d, 1e-10F);
  const auto n = hn::Set(d, static_cast<float>(n_rows));
  const auto n_less_one = hn::Set(d, static_cast<float>(n_rows - 1));
  const auto n_lanes = static_cast<int32_t>(hn::Lanes(d));
  for (int32_t at = 0; at < n_columns; at += n_lanes) {
    const int32_t n_valid = std::min(n_lanes, n_columns - at);
    auto sum = hn::Zero(d);
    auto entropy = hn::Zero(d);
    for (int32_t r = 0; r < n_rows; ++r) {
      const auto a = load_first(d, rows + r * row_stride + at, n_valid);
      sum = hn::Add(sum, a);
      entropy = hn::NegMulAdd(a, hn::Log(d, hn::Add(a, epsilon)), entropy);
    }
    const auto mean = hn::Div(sum, n);
    auto squares = hn::Zero(d);  // shifted two-pass form: a flat column would cancel otherwise
    for (int32_t r = 0; r < n_rows; ++r) {
      const auto a = hn::Sub(load_first(d, rows + r * row_stride + at, n_valid), mean);
      squares = hn::MulAdd(a, a, squares);
    }
    hn::Store(mean, d, out.mean + at);
    hn::Store(hn::Div(squares, n_less_one), d, out.var + at);
    hn::Store(entropy, d, out.entropy + at);
  }
}

}  // namespace

WindowSums window_columns(const WindowShape& shape, const WindowProbs& probs, int32_t first,
                          int32_t last, WindowStats& stats) {
  const int32_t n_group = shape.n_head / shape.n_head_kv;
  const float scale = 1.0F / static_cast<float>(n_group);
  WindowSums sums;
  HeadColumns head;
  for (int32_t at = first; at < last; at += kBlock) {
    const int32_t n = std::min(kBlock, last - at);
    for (int32_t g = 0; g < shape.n_head_kv; ++g) {
      const size_t to = static_cast<size_t>(g) * shape.n_candidates() + at;
      std::fill_n(stats.mean.begin() + to, n, 0.0F);
      std::fill_n(stats.var.begin() + to, n, 0.0F);
      std::fill_n(stats.last.begin() + to, n, 0.0F);
      for (int32_t h = g * n_group; h < (g + 1) * n_group; ++h) {
        const float* rows = probs.data + h * probs.head_stride + probs.first_column + at;
        measure_head(rows, probs.row_stride, shape.n_window, n, head);
        const float* last_row = rows + (shape.n_window - 1) * probs.row_stride;
        for (int32_t i = 0; i < n; ++i) {
          stats.mean[to + i] += scale * head.mean[i];
          stats.var[to + i] += scale * head.var[i];
          stats.last[to + i] += scale * last_row[i];
          sums.entropy += head.entropy[i];
          sums.variance += head.var[i];
        }
      }
    }
  }
  return sums;
}

}  // namespace reprise
