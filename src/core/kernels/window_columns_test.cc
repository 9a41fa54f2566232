#include "core/kernels/window_columns.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "core/kernels/attention_reference_test.h"
#include "core/kernels/simd_targets_test.h"

namespace reprise {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

AttentionShape shape_of(int32_t n_embd_head, int32_t n_group, int32_t n_head_kv, ggml_type type) {
  return {.n_embd_head = n_embd_head,
          .n_head = n_group * n_head_kv,
          .n_head_kv = n_head_kv,
          .type = type,
          .scale = 1 / std::sqrt(static_cast<float>(n_embd_head))};
}

std::string text(const RandomPass& p, int32_t n_window, uint32_t seed) {
  return std::string(ggml_type_name(p.shape.type)) + " head size " +
         std::to_string(p.shape.n_embd_head) + " group " + std::to_string(p.shape.n_group()) +
         " held " + std::to_string(p.span.n_held) + " tokens " + std::to_string(p.span.n_tokens) +
         " window " + std::to_string(n_window) + " seed " + std::to_string(seed);
}

AttentionRows rows_of(const RandomPass& p, const PrefillResult& attention) {
  return {p.shape, p.k.view(), p.span, p.q.data(), attention.lse.data()};
}

// What the window says about entries [first_entry, n_kv - n_window), and how far F32 may be off.
struct WindowReference {
  WindowStats stats;
  std::vector<double> mean_bound;
  std::vector<double> var_bound;
  std::vector<double> last_bound;
  double entropy_bound = 0;
  double variance_bound = 0;
};

// The entropy of 64 columns of a KV head is summed up in F32, those sums in F64.
double tile_entropy_error(int32_t n_window, int32_t n_group) {
  return sum_error(int64_t{64} * n_window * n_group + 2);
}

WindowReference reference(const RandomPass& p, int32_t n_window, int32_t first_entry) {
  const AttentionShape& s = p.shape;
  const int32_t n_candidates = p.span.n_kv() - n_window - first_entry;
  const size_t n_out = static_cast<size_t>(n_candidates) * s.n_head_kv;
  const auto n_group = static_cast<double>(s.n_group());
  // Sums over the rows of a window, then over heads.
  const double rounding = sum_error(n_window + s.n_group() + 4);
  const double entropy_rounding = tile_entropy_error(n_window, s.n_group());
  std::vector<double> mean(n_out);
  std::vector<double> var(n_out);
  std::vector<double> last(n_out);
  WindowReference want;
  want.mean_bound.resize(n_out);
  want.var_bound.resize(n_out);
  want.last_bound.resize(n_out);
  for (int32_t h = 0; h < s.n_head; ++h) {
    std::vector<RowReference> rows;
    for (int32_t r = 0; r < n_window; ++r)
      rows.push_back(p.reference(p.span.n_tokens - n_window + r, h));
    for (int32_t n = 0; n < n_candidates; ++n) {
      const size_t out = static_cast<size_t>(h / s.n_group()) * n_candidates + n;
      double sum = 0;
      double sum_bound = 0;
      for (const RowReference& row : rows) {
        const double a = row.probs[first_entry + n];
        const double bound = row.probs_bound[first_entry + n];
        sum += a;
        sum_bound += bound;
        const double log = std::log(a + 1e-10);
        want.stats.entropy -= a * log;
        // The slope of a ln a is ln a + 1; its steepest point within the bound is not at its ends,
        // but ln (a / 2) is beyond both where the bound is less than a / 2, and else a is tiny.
        // Without the published epsilon a term is at most that much larger.
        want.entropy_bound += bound * (std::abs(log) + 1.7) + 1e-10;
        want.entropy_bound += entropy_rounding * a * std::abs(log);
      }
      const double column_mean = sum / n_window;
      const double mean_bound = sum_bound / n_window + rounding * column_mean;
      double squares = 0;
      double squares_bound = 0;
      for (const RowReference& row : rows) {
        const double a = row.probs[first_entry + n] - column_mean;
        const double bound = row.probs_bound[first_entry + n] + mean_bound + kUnit * std::abs(a);
        squares += a * a;
        squares_bound += 2 * std::abs(a) * bound + bound * bound;
      }
      const double column_var = squares / (n_window - 1);
      const double var_bound = squares_bound / (n_window - 1) + rounding * column_var;
      mean[out] += column_mean / n_group;
      var[out] += column_var / n_group;
      last[out] += rows.back().probs[first_entry + n] / n_group;
      want.mean_bound[out] += (mean_bound + rounding * column_mean) / n_group;
      want.var_bound[out] += (var_bound + rounding * column_var) / n_group;
      want.last_bound[out] += (rows.back().probs_bound[first_entry + n] +
                               rounding * rows.back().probs[first_entry + n]) /
                              n_group;
      want.stats.variance += column_var;
      want.variance_bound += var_bound;
    }
  }
  want.stats.mean.assign(mean.begin(), mean.end());
  want.stats.var.assign(var.begin(), var.end());
  want.stats.last.assign(last.begin(), last.end());
  return want;
}

// The same pass for the plain form, which sees F32 alone.
WindowStats plain(const RandomPass& p, int32_t n_window) {
  const AttentionShape& s = p.shape;
  std::vector<float> q;  // [n_embd_head, n_window, n_head]
  for (int32_t h = 0; h < s.n_head; ++h) {
    for (int32_t r = 0; r < n_window; ++r) {
      const size_t row =
          static_cast<size_t>(p.span.n_tokens - n_window + r) * s.n_head + static_cast<size_t>(h);
      const float* from = p.q.data() + row * s.n_embd_head;
      q.insert(q.end(), from, from + s.n_embd_head);
    }
  }
  return window_stats({.n_embd_head = s.n_embd_head,
                       .n_head = s.n_head,
                       .n_head_kv = s.n_head_kv,
                       .n_kv = p.span.n_kv(),
                       .n_window = n_window,
                       .scale = s.scale},
                      q, p.k.all_values());
}

// All candidates from first_entry on, the columns cut into ranges at `cuts`. The ranges in between
// must not be written.
WindowStats run(const RandomPass& p, const PrefillResult& attention, int32_t n_window,
                int32_t first_entry, const std::vector<int32_t>& cuts) {
  const int32_t n_candidates = p.span.n_kv() - n_window - first_entry;
  const size_t n_out = static_cast<size_t>(n_candidates) * p.shape.n_head_kv;
  WindowStats got{.mean = std::vector<float>(n_out, kNan),
                  .var = std::vector<float>(n_out, kNan),
                  .last = std::vector<float>(n_out, kNan)};
  int32_t first = 0;
  for (size_t i = 0; i <= cuts.size(); ++i) {
    const int32_t last = i < cuts.size() ? cuts[i] : n_candidates;
    const WindowSums sums =
        window_columns(rows_of(p, attention), n_window, first_entry, first, last, got);
    got.entropy += sums.entropy;
    got.variance += sums.variance;
    for (size_t out = 0; out < n_out; ++out) {
      const bool is_done = static_cast<int32_t>(out % n_candidates) < last;
      EXPECT_EQ(std::isnan(got.mean[out]), !is_done) << out;
      EXPECT_EQ(std::isnan(got.var[out]), !is_done) << out;
      EXPECT_EQ(std::isnan(got.last[out]), !is_done) << out;
    }
    first = last;
  }
  return got;
}

void expect_near(const WindowStats& got, const WindowStats& want, const WindowReference& bounds,
                 size_t n_group) {
  // The plain form rounds each column's numbers to F32 and adds those of a group.
  const double rounding = static_cast<double>(n_group + 1) * kUnit;
  EXPECT_NEAR(got.entropy, want.entropy, bounds.entropy_bound);
  EXPECT_NEAR(got.variance, want.variance, bounds.variance_bound);
  for (size_t i = 0; i < want.mean.size(); ++i) {
    ASSERT_NEAR(got.mean[i], want.mean[i], bounds.mean_bound[i] + rounding * want.mean[i]) << i;
    ASSERT_NEAR(got.var[i], want.var[i], bounds.var_bound[i] + rounding * want.var[i]) << i;
    ASSERT_NEAR(got.last[i], want.last[i], bounds.last_bound[i] + rounding * want.last[i]) << i;
  }
}

TEST(WindowColumns, EqualsThePlainForm) {
  constexpr int32_t kWindows[] = {2, 4, 8, 31, 32, 33, 100};
  constexpr int32_t kGroups[] = {1, 2, 3, 7};
  constexpr int32_t kSizes[] = {20, 32, 8, 64, 80};
  for (uint32_t seed = 0; seed < 28; ++seed) {
    std::mt19937 rng(seed);
    const int32_t n_window = kWindows[seed % 7];
    const int32_t size = kSizes[seed % 5];
    const int32_t n_held = seed % 3 == 0 ? 0 : static_cast<int32_t>(rng() % 150);
    // A pass of the window alone, or one with tokens before it.
    const int32_t n_before = n_held > 0 && seed % 2 == 0 ? 0 : 1 + static_cast<int32_t>(rng() % 90);
    const RandomPass p(
        shape_of(size, kGroups[seed % 4], seed % 2 == 0 ? 2 : 1,
                 seed < 14 ? GGML_TYPE_F32 : cache_type(size, static_cast<int32_t>(seed))),
        {.n_held = n_held, .n_tokens = n_before + n_window}, 2, rng);
    SCOPED_TRACE(text(p, n_window, seed));
    const WindowReference bounds = reference(p, n_window, 0);
    const WindowStats want = plain(p, n_window);
    for_each_simd_target([&](const char* target) {
      SCOPED_TRACE(target);
      const PrefillResult attention = prefill(p);
      expect_near(run(p, attention, n_window, 0, {}), want, bounds, p.shape.n_group());
    });
    if (HasFatalFailure()) return;
  }
}

TEST(WindowColumns, RangesGiveTheSameAsOne) {
  std::mt19937 rng(31);
  const RandomPass p(shape_of(32, 3, 2, GGML_TYPE_F32), {.n_held = 200, .n_tokens = 60}, 2, rng);
  for_each_simd_target([&](const char* target) {
    SCOPED_TRACE(target);
    const PrefillResult attention = prefill(p);
    const WindowStats whole = run(p, attention, 33, 0, {});
    for (const std::vector<int32_t>& cuts :
         {std::vector<int32_t>{101}, {1}, {64}, {100, 101}, {0}, {227}}) {
      const WindowStats parts = run(p, attention, 33, 0, cuts);
      EXPECT_EQ(parts.mean, whole.mean);
      EXPECT_EQ(parts.var, whole.var);
      EXPECT_EQ(parts.last, whole.last);
      // Each lane adds up to 64 columns x 3 query heads x 33 rows in F32, then columns are added in
      // F64: 227 of two KV heads.
      EXPECT_NEAR(parts.entropy, whole.entropy, 0x1p-24 * 64 * 3 * 33 * whole.entropy);
      EXPECT_NEAR(parts.variance, whole.variance, 0x1p-53 * 227 * 6 * whole.variance);
    }
  });
}

// The softmax runs over what stands before the first candidate too.
TEST(WindowColumns, StartAtAnEntry) {
  for (const int32_t first_entry : {1, 5, 64, 150}) {
    std::mt19937 rng(32);
    const int32_t n_window = 9;
    const RandomPass p(shape_of(20, 3, 2, GGML_TYPE_F16), {.n_held = 170, .n_tokens = 12}, 2, rng);
    SCOPED_TRACE(text(p, n_window, 32));
    const WindowReference want = reference(p, n_window, first_entry);
    for_each_simd_target([&](const char* target) {
      SCOPED_TRACE(target);
      const PrefillResult attention = prefill(p);
      expect_near(run(p, attention, n_window, first_entry, {3}), want.stats, want, 3);
    });
  }
}

TEST(WindowColumns, ShowABrokenKeyOrQuery) {
  const int32_t n_window = 5;
  for (const float bad : {kNan, std::numeric_limits<float>::infinity()}) {
    for (int32_t n = 0; n < 45; n += 4) {  // the last entry is of the window
      std::mt19937 rng(33);
      RandomPass key(shape_of(8, 3, 1, GGML_TYPE_F32), {.n_held = 35, .n_tokens = 10}, 1, rng);
      RandomPass query = key;
      for (size_t i = 2; i < key.q.size(); i += 8) key.q[i] = 1;
      reinterpret_cast<float*>(key.k.bytes(0, n))[2] = bad;
      query.q[((5 + static_cast<size_t>(n) % 5) * 3 + static_cast<size_t>(n) % 3) * 8 + 2] = bad;
      for_each_simd_target([&](const char* target) {
        SCOPED_TRACE(target);
        for (const RandomPass* p : {&key, &query}) {
          const PrefillResult attention = prefill(*p);
          WindowStats stats{.mean = std::vector<float>(40),
                            .var = std::vector<float>(40),
                            .last = std::vector<float>(40)};
          const WindowSums sums = window_columns(rows_of(*p, attention), n_window, 0, 0, 40, stats);
          EXPECT_FALSE(std::isfinite(sums.entropy) && std::isfinite(sums.variance))
              << (p == &key ? "key " : "query of ") << n << " with " << bad;
        }
      });
    }
  }
}

TEST(AttentionReceived, EqualsTheSumOfProbabilities) {
  struct Case {
    int32_t size, n_group, n_head_kv;
    CausalSpan span;
    int32_t first_entry;
  };
  const Case cases[] = {
      {32, 1, 2, {.n_held = 0, .n_tokens = 1}, 0},
      {20, 3, 2, {.n_held = 0, .n_tokens = 97}, 0},
      {64, 7, 1, {.n_held = 70, .n_tokens = 31}, 0},
      {8, 2, 2, {.n_held = 100, .n_tokens = 96}, 33},
      {80, 3, 1, {.n_held = 5, .n_tokens = 130}, 64},
      {32, 5, 2, {.n_held = 64, .n_tokens = 64}, 5},
  };
  for (size_t i = 0; i < std::size(cases); ++i) {
    const Case& c = cases[i];
    const auto seed = static_cast<uint32_t>(40 + i);
    std::mt19937 rng(seed);
    const RandomPass p(
        shape_of(c.size, c.n_group, c.n_head_kv, cache_type(c.size, static_cast<int32_t>(i))),
        c.span, 2, rng);
    SCOPED_TRACE(text(p, 0, seed));
    const int32_t n = c.span.n_kv() - c.first_entry;
    std::vector<float> before(static_cast<size_t>(n) * c.n_head_kv);
    for (float& x : before) x = std::uniform_real_distribution<float>()(rng);
    std::vector<double> want(before.begin(), before.end());
    std::vector<double> bound(want.size());
    for (int32_t t = 0; t < c.span.n_tokens; ++t) {
      for (int32_t h = 0; h < p.shape.n_head; ++h) {
        const RowReference row = p.reference(t, h);
        for (int32_t e = 0; e < n; ++e) {
          const size_t at = static_cast<size_t>(h / c.n_group) * n + e;
          want[at] += row.probs[c.first_entry + e] / c.n_group;
          bound[at] += row.probs_bound[c.first_entry + e] / c.n_group;
        }
      }
    }
    for_each_simd_target([&](const char* target) {
      SCOPED_TRACE(target);
      const PrefillResult attention = prefill(p);
      for (const int32_t cut : {n, n / 3}) {
        std::vector<float> got = before;
        for (int32_t g = 0; g < c.n_head_kv; ++g) {
          float* sums = got.data() + static_cast<size_t>(g) * n;
          add_attention_received(rows_of(p, attention), g, c.first_entry, 0, cut, sums);
          for (int32_t e = cut; e < n; ++e)  // outside of the range nothing is written
            ASSERT_EQ(sums[e], before[static_cast<size_t>(g) * n + e]);
          add_attention_received(rows_of(p, attention), g, c.first_entry, cut, n, sums);
        }
        for (size_t at = 0; at < got.size(); ++at) {
          const double rounding = sum_error(int64_t{c.n_group} * c.span.n_tokens + 3) * want[at];
          ASSERT_NEAR(got[at], want[at], bound[at] + rounding) << "column " << at;
        }
      }
    });
  }
}

}  // namespace
}  // namespace reprise
