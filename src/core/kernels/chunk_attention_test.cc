#include "core/kernels/chunk_attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "core/kernels/attention_reference_test.h"
#include "core/kernels/simd_targets_test.h"

namespace reprise {
namespace {

// Logits, how far the kernel's may be from them, and who sees whom: probabilities in F64 and the
// bound of their relative error.
struct Probabilities {
  std::vector<double> p;
  double relative = 0;
};
Probabilities softmax(const std::vector<double>& logits, double logit_error) {
  Probabilities out;
  const double highest = std::ranges::max(logits);
  double sum = 0;
  for (const double logit : logits) out.p.push_back(std::exp(logit - highest));
  for (const double p : out.p) sum += p;
  for (double& p : out.p) p /= sum;
  // An error e of a logit is one of exp(e) - 1 of its power, and as much again of the sum. Exp
  // itself is within 4 units, the difference from the highest logit rounds once more.
  double most = 0;
  for (const double logit : logits) most = std::max(most, std::abs(logit - highest));
  const double power = std::expm1(logit_error + kUnit * most) + 8 * kUnit;
  out.relative = 2 * power + sum_error(static_cast<int64_t>(logits.size())) + 4 * kUnit;
  return out;
}

struct Chunk {
  int64_t n_rows;
  int64_t n_embd_head;
  bool is_causal;
  int64_t row;
  std::vector<float> qkv;

  Chunk(int64_t rows, int64_t embd_head, bool causal, std::mt19937& rng)
      : n_rows(rows),
        n_embd_head(embd_head),
        is_causal(causal),
        row(3 * embd_head + 5),
        qkv(random_values(static_cast<size_t>(row * rows), 1.5F, rng)) {}
  const float* q(int64_t t) const { return qkv.data() + t * row; }
  const float* k(int64_t t) const { return q(t) + n_embd_head; }
  const float* v(int64_t t) const { return q(t) + 2 * n_embd_head; }
  float scale() const { return 1.0F / std::sqrt(static_cast<float>(n_embd_head)); }

  std::vector<float> run() const {
    std::vector<float> out(static_cast<size_t>(n_rows * (n_embd_head + 1)), 7.0F);
    std::vector<float> scratch(static_cast<size_t>(chunk_attention_scratch(n_rows, n_embd_head)),
                               std::numeric_limits<float>::quiet_NaN());
    chunk_attention({q(0), k(0), v(0), row, n_rows, n_embd_head, scale(), is_causal, out.data(),
                     n_embd_head + 1},
                    scratch.data());
    return out;
  }
};

TEST(ChunkAttention, EqualsTheF64Reference) {
  uint32_t seed = 0;
  for (const int64_t n_rows : {1, 5, 6, 8, 16, 17, 33}) {
    for (const int64_t n_embd_head : {1, 3, 8, 16, 32, 64, 65}) {
      for (const bool is_causal : {true, false}) {
        std::mt19937 rng(++seed);
        const Chunk c(n_rows, n_embd_head, is_causal, rng);
        for_each_simd_target([&](const char* target) {
          SCOPED_TRACE(target);
          const std::vector<float> out = c.run();
          for (int64_t t = 0; t < n_rows; ++t) {
            std::vector<double> logits;
            double error = 0;
            for (int64_t s = 0; s < (is_causal ? t + 1 : n_rows); ++s) {
              double dot = 0;
              double magnitude = 0;
              for (int64_t i = 0; i < n_embd_head; ++i) {
                dot += static_cast<double>(c.q(t)[i]) * c.k(s)[i];
                magnitude += std::abs(static_cast<double>(c.q(t)[i]) * c.k(s)[i]);
              }
              logits.push_back(dot * c.scale());
              error = std::max(error, (sum_error(n_embd_head + 1) + kUnit) * magnitude * c.scale());
            }
            const Probabilities p = softmax(logits, error);
            for (int64_t i = 0; i < n_embd_head; ++i) {
              double want = 0;
              double magnitude = 0;
              for (size_t s = 0; s < logits.size(); ++s) {
                want += p.p[s] * c.v(static_cast<int64_t>(s))[i];
                magnitude += p.p[s] * std::abs(c.v(static_cast<int64_t>(s))[i]);
              }
              ASSERT_NEAR(out[t * (n_embd_head + 1) + i], want,
                          (p.relative + sum_error(n_rows + 1)) * magnitude)
                  << "rows " << n_rows << " head " << n_embd_head << " row " << t << " value " << i;
            }
            ASSERT_EQ(out[t * (n_embd_head + 1) + n_embd_head], 7.0F) << "writes beyond its head";
          }
        });
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(ChunkAttention, ShowsNanOfWhatARowSees) {
  constexpr float kBad[] = {std::numeric_limits<float>::quiet_NaN(),
                            std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity()};
  for (const float bad : kBad) {
    for (const int64_t part : {0, 1, 2}) {
      std::mt19937 rng(77);
      Chunk c(6, 8, true, rng);
      c.qkv[3 * c.row + part * 8 + 2] = bad;  // of row 3
      for_each_simd_target([&](const char* target) {
        SCOPED_TRACE(target);
        const std::vector<float> out = c.run();
        const auto is_finite = [&](int64_t t) {
          return std::all_of(out.begin() + t * 9, out.begin() + t * 9 + 8,
                             [](float v) { return std::isfinite(v); });
        };
        EXPECT_FALSE(is_finite(3)) << "value " << bad << " part " << part;
        if (part == 0) {
          EXPECT_TRUE(is_finite(2));
          EXPECT_TRUE(is_finite(4));
        }
      });
    }
  }
}

// Cross attention as the paper has it, in F64, against the folded form in F32.
struct Cross {
  int64_t n_embd;
  int64_t n_head;
  int64_t n_obs;
  int64_t n_rows;
  bool is_causal;
  std::vector<float> keys, biases, values;  // [1 + n_obs][n_head] of n_embd, 1, n_embd
  std::vector<float> bias, x;

  Cross(int64_t embd, int64_t head, int64_t obs, int64_t rows, bool causal, std::mt19937& rng)
      : n_embd(embd), n_head(head), n_obs(obs), n_rows(rows), is_causal(causal) {
    const auto n_columns = static_cast<size_t>((1 + obs) * head);
    const auto n = static_cast<size_t>(embd);
    keys = random_values(n_columns * n, 2.0F / std::sqrt(static_cast<float>(embd)), rng);
    biases = random_values(n_columns, 1, rng);
    values = random_values(n_columns * n, 1, rng);
    bias = random_values(n, 1, rng);
    x = random_values(n * static_cast<size_t>(rows), 1, rng);
  }

  // Columns [first, first + n) with the keys transposed.
  std::vector<float> folded(int64_t first, int64_t n) const {
    std::vector<float> out;
    for (int64_t k = 0; k < n_embd; ++k)
      for (int64_t c = first; c < first + n; ++c) out.push_back(keys[c * n_embd + k]);
    out.insert(out.end(), values.begin() + first * n_embd, values.begin() + (first + n) * n_embd);
    out.insert(out.end(), biases.begin() + first, biases.begin() + first + n);
    return out;
  }

  std::vector<float> run(int64_t n) const {  // the first n rows
    const std::vector<float> time = folded(0, n_head);
    const std::vector<float> seen = folded(n_head, n_obs * n_head);
    const auto memory = [&](const std::vector<float>& from, int64_t rows) {
      const float* at = from.data();
      const int64_t size = rows * n_head * n_embd;
      return FoldedMemory{at, at + 2 * size, at + size, rows};
    };
    std::vector<float> out(static_cast<size_t>(n * n_embd));
    std::vector<float> scratch(
        static_cast<size_t>(folded_attention_scratch(n_embd, n_head, 1 + n_obs, n)),
        std::numeric_limits<float>::quiet_NaN());
    folded_attention({n_embd, n_head, is_causal, memory(time, 1), memory(seen, n_obs), bias.data(),
                      x.data(), n, out.data()},
                     scratch.data());
    return out;
  }
};

TEST(FoldedAttention, EqualsTheF64ReferenceAndItsMask) {
  uint32_t seed = 500;
  for (const int64_t n_embd : {4, 30, 32, 128}) {
    for (const int64_t n_head : {1, 2, 4}) {
      for (const int64_t n_obs : {1, 2, 3, 9}) {
        for (const bool is_causal : {true, false}) {
          std::mt19937 rng(++seed);
          const Cross c(n_embd, n_head, n_obs, 11, is_causal, rng);
          for_each_simd_target([&](const char* target) {
            SCOPED_TRACE(target);
            const std::vector<float> out = c.run(c.n_rows);
            for (int64_t t = 0; t < c.n_rows; ++t) {
              std::vector<double> want(c.bias.begin(), c.bias.end());
              std::vector<double> bound(want.size());
              for (int64_t i = 0; i < n_embd; ++i) bound[i] = kUnit * std::abs(want[i]);
              for (int64_t j = 0; j < n_head; ++j) {
                std::vector<double> logits;
                double error = 0;
                for (int64_t s = 0; s <= n_obs; ++s) {
                  if (is_causal && t < s - 1) break;
                  const int64_t column = s * n_head + j;
                  double dot = c.biases[column];
                  double magnitude = std::abs(dot);
                  for (int64_t k = 0; k < n_embd; ++k) {
                    const double term =
                        static_cast<double>(c.x[t * n_embd + k]) * c.keys[column * n_embd + k];
                    dot += term;
                    magnitude += std::abs(term);
                  }
                  logits.push_back(dot);
                  error = std::max(error, (sum_error(n_embd + 1) + kUnit) * magnitude);
                }
                const Probabilities p = softmax(logits, error);
                for (size_t s = 0; s < logits.size(); ++s) {
                  const int64_t column = static_cast<int64_t>(s) * n_head + j;
                  for (int64_t i = 0; i < n_embd; ++i) {
                    const double term = p.p[s] * c.values[column * n_embd + i];
                    want[i] += term;
                    bound[i] += std::abs(term) * p.relative;
                  }
                }
              }
              for (int64_t i = 0; i < n_embd; ++i) {
                double magnitude = std::abs(c.bias[i]);
                for (int64_t column = 0; column < (1 + n_obs) * n_head; ++column)
                  magnitude += std::abs(c.values[column * n_embd + i]);
                bound[i] += (sum_error((1 + n_obs) * n_head + 1) + kUnit) * magnitude;
                ASSERT_NEAR(out[t * n_embd + i], want[i], bound[i])
                    << "n_embd " << n_embd << " heads " << n_head << " observations " << n_obs
                    << " row " << t << " value " << i;
              }
            }
          });
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

TEST(FoldedAttention, LaterRowsChangeNoBit) {
  std::mt19937 rng(900);
  const Cross c(30, 3, 2, 11, true, rng);
  for_each_simd_target([&](const char* target) {
    SCOPED_TRACE(target);
    const std::vector<float> whole = c.run(11);
    for (int64_t n = 1; n < 11; ++n) {
      const std::vector<float> part = c.run(n);
      EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin())) << n << " rows";
    }
  });
}

TEST(FoldedAttention, ShowsNanInItsRow) {
  std::mt19937 rng(901);
  Cross c(32, 2, 2, 5, true, rng);
  c.x[3 * 32 + 4] = std::numeric_limits<float>::quiet_NaN();
  for_each_simd_target([&](const char* target) {
    SCOPED_TRACE(target);
    const std::vector<float> out = c.run(5);
    for (size_t i = 0; i < out.size(); ++i) EXPECT_EQ(std::isfinite(out[i]), i / 32 != 3) << i;
  });
}

}  // namespace
}  // namespace reprise
