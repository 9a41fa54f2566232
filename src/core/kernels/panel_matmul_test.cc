#include "core/kernels/panel_matmul.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "core/kernels/attention_reference_test.h"
#include "core/kernels/simd_targets_test.h"

namespace reprise {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kUntouched = 123456.0F;

// Random weights as a model file holds them, the numbers they stand for, and random inputs. Behind
// each row of weights stand bytes of no row.
struct Product {
  Product(ggml_type t, int64_t in, int64_t out, int64_t tokens, std::mt19937& rng)
      : type(t),
        n_in(in),
        n_out(out),
        n_tokens(tokens),
        row_bytes(ggml_row_size(t, in) + 16),
        bytes(row_bytes * out, std::byte{0xFF}),
        x(random_values(static_cast<size_t>(in * tokens), 1, rng)) {
    const std::vector<float> normal = random_values(static_cast<size_t>(in * out), 1, rng);
    for (int64_t row = 0; row < out; ++row) {
      ggml_quantize_chunk(type, normal.data() + row * in, bytes.data() + row_bytes * row, 0, 1, in,
                          nullptr);
    }
    refresh();
  }

  void refresh() {  // after a change of bytes
    w.resize(static_cast<size_t>(n_in * n_out));
    for (int64_t row = 0; row < n_out; ++row) {
      const std::byte* from = bytes.data() + row_bytes * row;
      if (type == GGML_TYPE_F32) {
        std::memcpy(w.data() + row * n_in, from, sizeof(float) * n_in);
      } else {
        ggml_get_type_traits(type)->to_float(from, w.data() + row * n_in, n_in);
      }
    }
  }

  std::vector<float> run() const {
    constexpr int32_t kGuard = 64;
    std::vector<float> y(static_cast<size_t>(n_out * n_tokens), kNan);
    const PanelMatmul m{type, bytes.data(), row_bytes, n_in, n_out, n_tokens, x.data(), y.data()};
    std::vector<float> scratch(panel_matmul_scratch() + kGuard, kNan);
    std::fill_n(scratch.end() - kGuard, kGuard, kUntouched);
    for (int64_t i = panel_matmul_parts(n_out); i-- > 0;) panel_matmul_part(m, i, scratch.data());
    EXPECT_EQ(std::count(scratch.end() - kGuard, scratch.end(), kUntouched), kGuard)
        << "panel_matmul writes behind its scratch";
    return y;
  }

  std::string text(uint32_t seed) const {
    return std::string(ggml_type_name(type)) + " in " + std::to_string(n_in) + " out " +
           std::to_string(n_out) + " tokens " + std::to_string(n_tokens) + " seed " +
           std::to_string(seed);
  }

  ggml_type type;
  int64_t n_in;
  int64_t n_out;
  int64_t n_tokens;
  size_t row_bytes;
  std::vector<std::byte> bytes;
  std::vector<float> w;  // [n_in, n_out]
  std::vector<float> x;  // [n_in, n_tokens]
};

// [n_out, n_tokens]: dot products in F64 and how far those in F32 may be from them.
void expect_near_on_all_targets(const Product& p, uint32_t seed) {
  SCOPED_TRACE(p.text(seed));
  std::vector<double> want(static_cast<size_t>(p.n_out * p.n_tokens));
  std::vector<double> bound(want.size());
  for (int64_t t = 0; t < p.n_tokens; ++t) {
    for (int64_t row = 0; row < p.n_out; ++row) {
      double sum = 0;
      double magnitude = 0;
      for (int64_t i = 0; i < p.n_in; ++i) {
        const double term = static_cast<double>(p.w[row * p.n_in + i]) * p.x[t * p.n_in + i];
        sum += term;
        magnitude += std::abs(term);
      }
      want[t * p.n_out + row] = sum;
      // A product rounds like a sum where a target cannot fuse them: one term more.
      bound[t * p.n_out + row] = sum_error(p.n_in + 1) * magnitude;
    }
  }
  for_each_simd_target([&](const char* target) {
    SCOPED_TRACE(target);
    const std::vector<float> y = p.run();
    for (size_t i = 0; i < y.size(); ++i) {
      ASSERT_NEAR(y[i], want[i], bound[i]) << "row " << i % p.n_out << " token " << i / p.n_out;
    }
  });
}

TEST(PanelMatmul, EqualsTheF64ReferenceForEveryType) {
  constexpr ggml_type kTypes[] = {GGML_TYPE_F32,  GGML_TYPE_F16,   GGML_TYPE_BF16, GGML_TYPE_Q4_0,
                                  GGML_TYPE_Q4_1, GGML_TYPE_Q5_0,  GGML_TYPE_Q5_1, GGML_TYPE_Q8_0,
                                  GGML_TYPE_Q2_K, GGML_TYPE_Q3_K,  GGML_TYPE_Q4_K, GGML_TYPE_Q5_K,
                                  GGML_TYPE_Q6_K, GGML_TYPE_IQ4_NL};
  uint32_t seed = 0;
  for (const ggml_type type : kTypes) {
    ASSERT_TRUE(has_panel_matmul(type)) << ggml_type_name(type);
    for (const int64_t n_in : {256, 768, 800, 1536}) {
      if (n_in % ggml_blck_size(type) != 0) continue;
      std::mt19937 rng(++seed);
      expect_near_on_all_targets(Product(type, n_in, n_in == 1536 ? 49 : 5, 9, rng), seed);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(PanelMatmul, EqualsTheF64ReferenceForEveryShape) {
  constexpr int64_t kIn[] = {1, 2, 3, 5, 31, 32, 33, 256, 767, 768, 769, 800, 1536};
  constexpr int64_t kOut[] = {1, 2, 47, 48, 49, 100};
  constexpr int64_t kTokens[] = {1, 2, 7, 8, 9, 33};
  uint32_t seed = 100;
  for (const int64_t n_out : kOut) {
    for (const int64_t n_tokens : kTokens) {
      const int64_t n_in = kIn[seed % std::size(kIn)];
      std::mt19937 rng(++seed);
      const ggml_type type = n_in % 32 == 0 && seed % 2 == 0 ? GGML_TYPE_Q8_0 : GGML_TYPE_F32;
      expect_near_on_all_targets(Product(type, n_in, n_out, n_tokens, rng), seed);
      if (HasFatalFailure()) return;
    }
  }
}

// A model without weights of a type says so, and the caller takes another product.
TEST(PanelMatmul, NeedsATypeThatTurnsIntoF32) {
  EXPECT_FALSE(has_panel_matmul(GGML_TYPE_I32));
  EXPECT_FALSE(has_panel_matmul(GGML_TYPE_I8));
}

TEST(PanelMatmul, WritesItsPartAlone) {
  for (const int64_t n_out : {49, 100}) {
    for (const int64_t n_in : {40, 800}) {
      std::mt19937 rng(200);
      const Product p(GGML_TYPE_F32, n_in, n_out, 9, rng);
      SCOPED_TRACE(p.text(200));
      for_each_simd_target([&](const char* target) {
        SCOPED_TRACE(target);
        const std::vector<float> whole = p.run();
        std::vector<float> scratch(panel_matmul_scratch());
        std::vector<int32_t> n_writers(whole.size());
        for (int64_t i = 0; i < panel_matmul_parts(n_out); ++i) {
          std::vector<float> y(whole.size(), kUntouched);
          panel_matmul_part(
              {p.type, p.bytes.data(), p.row_bytes, n_in, n_out, p.n_tokens, p.x.data(), y.data()},
              i, scratch.data());
          for (size_t at = 0; at < y.size(); ++at) {
            if (y[at] == kUntouched) continue;
            ASSERT_EQ(y[at], whole[at]);
            ++n_writers[at];
          }
        }
        EXPECT_EQ(std::count(n_writers.begin(), n_writers.end(), 1),
                  static_cast<ptrdiff_t>(n_writers.size()));
      });
    }
  }
}

TEST(PanelMatmul, PartsOfTwoThreadsGiveTheSame) {
  std::mt19937 rng(201);
  const Product p(GGML_TYPE_Q4_K, 1024, 200, 9, rng);
  for_each_simd_target([&](const char* target) {
    SCOPED_TRACE(target);
    std::vector<float> y(static_cast<size_t>(p.n_out * p.n_tokens));
    const PanelMatmul m{p.type,  p.bytes.data(), p.row_bytes, p.n_in,
                        p.n_out, p.n_tokens,     p.x.data(),  y.data()};
    const auto run_every_second = [&](int64_t first) {
      std::vector<float> scratch(panel_matmul_scratch());
      for (int64_t i = first; i < panel_matmul_parts(p.n_out); i += 2)
        panel_matmul_part(m, i, scratch.data());
    };
    std::thread other([&] { run_every_second(1); });
    run_every_second(0);
    other.join();
    EXPECT_EQ(y, p.run());
  });
}

// A broken weight or input shows in its row or token, and there alone.
TEST(PanelMatmul, ShowsNanInItsRowOrToken) {
  for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_Q8_0, GGML_TYPE_Q4_0}) {
    for (const int64_t bad_row : {0, 47, 48, 50}) {
      for (const int64_t bad_token : {0, 7, 8}) {
        std::mt19937 rng(202);
        Product p(type, 800, 51, 9, rng);
        SCOPED_TRACE(p.text(202));
        // The last block of the row: its value or its scale, all bits set, is NaN.
        const size_t block = ggml_row_size(type, ggml_blck_size(type));
        std::memset(p.bytes.data() + p.row_bytes * bad_row + ggml_row_size(type, 800) - block, 0xFF,
                    type == GGML_TYPE_F32 ? 4 : 2);
        p.x[bad_token * 800 + 3] = std::numeric_limits<float>::infinity();
        p.x[bad_token * 800 + 4] = kNan;
        for_each_simd_target([&](const char* target) {
          SCOPED_TRACE(target);
          const std::vector<float> y = p.run();
          for (int64_t t = 0; t < 9; ++t) {
            for (int64_t row = 0; row < 51; ++row) {
              ASSERT_EQ(std::isfinite(y[t * 51 + row]), t != bad_token && row != bad_row)
                  << "row " << row << " token " << t;
            }
          }
        });
      }
    }
  }
}

// Else a kernel of that name would be the scalar one, and the other tests ask nothing.
TEST(PanelMatmul, EveryTargetIsCompiledIn) {
  int64_t scalar = 0;
  {
    const ForcedSimdTarget forced(HWY_SCALAR);
    scalar = panel_matmul_scratch();
  }
  for_each_simd_target([&](const char* target) {
    if (std::string(target) == "SCALAR") return;
    EXPECT_GT(panel_matmul_scratch(), scalar) << target << " runs as the scalar kernels";
  });
}

}  // namespace
}  // namespace reprise
