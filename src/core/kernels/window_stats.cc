#include "core/kernels/window_stats.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

#include "core/error.h"

namespace reprise {
namespace {

// Softmax of one window row over the keys it may see; the others stay 0. Throws Error on NaN or
// infinity.
void attend(const WindowShape& shape, const float* q, const float* k, int32_t n_visible,
            double* row) {
  double max = -std::numeric_limits<double>::infinity();
  for (int32_t n = 0; n < n_visible; ++n) {
    double dot = 0;
    for (int32_t x = 0; x < shape.n_embd_head; ++x) {
      dot += static_cast<double>(q[x]) * k[static_cast<int64_t>(n) * shape.n_embd_head + x];
    }
    row[n] = dot * shape.scale;
    if (!std::isfinite(row[n])) {
      throw Error(
          "attention logits of the observation window are not finite; the model file or its inputs "
          "are broken");
    }
    max = std::max(max, row[n]);
  }
  double sum = 0;
  for (int32_t n = 0; n < n_visible; ++n) sum += row[n] = std::exp(row[n] - max);
  for (int32_t n = 0; n < n_visible; ++n) row[n] /= sum;
  std::fill(row + n_visible, row + shape.n_kv, 0.0);
}

}  // namespace

WindowStats window_stats(const WindowShape& shape, std::span<const float> q,
                         std::span<const float> k) {
  const int64_t d = shape.n_embd_head;
  const int32_t w = shape.n_window;
  const int32_t n_cand = shape.n_candidates();
  assert(w >= 2 && n_cand > 0 && shape.n_head % shape.n_head_kv == 0);
  assert(static_cast<int64_t>(q.size()) == d * w * shape.n_head);
  assert(static_cast<int64_t>(k.size()) == d * shape.n_kv * shape.n_head_kv);

  const int32_t n_group = shape.n_head / shape.n_head_kv;
  const size_t n_out = static_cast<size_t>(n_cand) * shape.n_head_kv;
  WindowStats stats;
  stats.mean.resize(n_out);
  stats.var.resize(n_out);
  stats.last.resize(n_out);
  std::vector<double> rows(static_cast<size_t>(w) * shape.n_kv);
  for (int32_t h = 0; h < shape.n_head; ++h) {
    const int32_t g = h / n_group;
    for (int32_t r = 0; r < w; ++r) {
      attend(shape, q.data() + (static_cast<int64_t>(h) * w + r) * d,
             k.data() + static_cast<int64_t>(g) * shape.n_kv * d, n_cand + r + 1,
             rows.data() + static_cast<int64_t>(r) * shape.n_kv);
    }
    for (int32_t n = 0; n < n_cand; ++n) {
      double sum = 0;
      for (int32_t r = 0; r < w; ++r) {
        const double a = rows[static_cast<size_t>(r) * shape.n_kv + n];
        sum += a;
        stats.entropy -= a * std::log(a + 1e-10);
      }
      const double mean = sum / w;
      double squares = 0;  // shifted two-pass form: a flat column would cancel otherwise
      for (int32_t r = 0; r < w; ++r) {
        const double a = rows[static_cast<size_t>(r) * shape.n_kv + n] - mean;
        squares += a * a;
      }
      const double var = squares / (w - 1);
      stats.variance += var;
      const size_t out = static_cast<size_t>(g) * n_cand + n;
      stats.mean[out] += static_cast<float>(mean / n_group);
      stats.var[out] += static_cast<float>(var / n_group);
      stats.last[out] +=
          static_cast<float>(rows[static_cast<size_t>(w - 1) * shape.n_kv + n] / n_group);
    }
  }
  return stats;
}

}  // namespace reprise
