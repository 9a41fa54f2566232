#include "core/kernels/window_columns.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace reprise {
namespace {

// The plain F64 form is the oracle: same q and k, softmax here in F32, ranges of columns that do
// not fit the vector width, and some columns of older entries in front.
TEST(WindowColumns, EqualThePlainForm) {
  const WindowShape s{
      .n_embd_head = 16, .n_head = 6, .n_head_kv = 2, .n_kv = 331, .n_window = 9, .scale = 0.25};
  std::mt19937 rng(3);
  std::normal_distribution<float> normal;
  std::vector<float> q(static_cast<size_t>(s.n_embd_head) * s.n_window * s.n_head);
  std::vector<float> k(static_cast<size_t>(s.n_embd_head) * s.n_kv * s.n_head_kv);
  for (float& x : q) x = 2 * normal(rng);
  for (float& x : k) x = 2 * normal(rng);
  const WindowStats want = window_stats(s, q, k);

  constexpr int32_t kOlder = 5;
  const int64_t row_stride = s.n_kv + kOlder;
  std::vector<float> probs(row_stride * s.n_window * s.n_head, -1.0F);
  for (int32_t h = 0; h < s.n_head; ++h) {
    for (int32_t r = 0; r < s.n_window; ++r) {
      float* row = probs.data() + (h * s.n_window + r) * row_stride + kOlder;
      double sum = 0;
      for (int32_t n = 0; n < s.n_kv; ++n) {
        double dot = 0;
        for (int32_t x = 0; x < s.n_embd_head; ++x) {
          dot += static_cast<double>(q[(h * s.n_window + r) * s.n_embd_head + x]) *
                 k[(static_cast<size_t>(h / 3) * s.n_kv + n) * s.n_embd_head + x];
        }
        row[n] = n > s.n_candidates() + r ? 0 : static_cast<float>(std::exp(dot * s.scale));
        sum += row[n];
      }
      for (int32_t n = 0; n < s.n_kv; ++n) row[n] = static_cast<float>(row[n] / sum);
    }
  }
  WindowStats got;
  const size_t n_out = static_cast<size_t>(s.n_candidates()) * s.n_head_kv;
  got.mean.resize(n_out);
  got.var.resize(n_out);
  got.last.resize(n_out);
  const WindowProbs view{probs.data(), row_stride, row_stride * s.n_window, kOlder};
  for (const auto& [first, last] : {std::pair{0, 101}, {101, 102}, {102, s.n_candidates()}}) {
    const WindowSums part = window_columns(s, view, first, last, got);
    got.entropy += part.entropy;
    got.variance += part.variance;
  }
  EXPECT_NEAR(got.entropy, want.entropy, 1e-5 * want.entropy);
  EXPECT_NEAR(got.variance, want.variance, 1e-5 * want.variance);
  for (size_t i = 0; i < n_out; ++i) {  // 9 rows of F32 rounding
    EXPECT_NEAR(got.mean[i], want.mean[i], 1e-6 * want.mean[i] + 1e-9);
    EXPECT_NEAR(got.var[i], want.var[i], 1e-5 * want.var[i] + 1e-12);
    EXPECT_NEAR(got.last[i], want.last[i], 2e-6 * want.last[i] + 1e-9);
  }
}

}  // namespace
}  // namespace reprise
