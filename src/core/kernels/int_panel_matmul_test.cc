#include "core/kernels/int_panel_matmul.h"

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
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kUntouched = 123456.0F;
constexpr int64_t kBlock = RoundedBlock::kValues;
constexpr ggml_type kTypes[] = {GGML_TYPE_Q4_0, GGML_TYPE_Q4_1,   GGML_TYPE_Q5_0, GGML_TYPE_Q5_1,
                                GGML_TYPE_Q8_0, GGML_TYPE_IQ4_NL, GGML_TYPE_Q4_K, GGML_TYPE_Q5_K};

// About n inputs, whole blocks of the type.
int64_t whole_blocks(ggml_type type, int64_t n) {
  const int64_t block = ggml_blck_size(type);
  return (n + block - 1) / block * block;
}

// Random weights as a model file holds them, the numbers they stand for, and random inputs,
// rounded. Behind each row of weights stand bytes of no row.
struct Product {
  Product(ggml_type t, int64_t in, int64_t out, int64_t tokens, uint32_t random_seed)
      : type(t),
        n_in(in),
        n_out(out),
        n_tokens(tokens),
        seed(random_seed),
        row_bytes(ggml_row_size(t, in) + 16),
        bytes(row_bytes * out, std::byte{0xFF}),
        w(static_cast<size_t>(in * out)) {
    std::mt19937 rng(seed);
    x = random_values(static_cast<size_t>(in * tokens), 1, rng);
    const std::vector<float> normal = random_values(w.size(), 1, rng);
    for (int64_t row = 0; row < out; ++row) {
      ggml_quantize_chunk(type, normal.data() + row * in, row_of(row), 0, 1, in, nullptr);
      ggml_get_type_traits(type)->to_float(row_of(row), w.data() + row * in, in);
    }
    round();
  }

  void round() {  // after a change of x
    rounded.resize(x.size() / kBlock);
    round_activations(x.data(), static_cast<int64_t>(x.size()), rounded.data());
  }
  std::byte* row_of(int64_t row) { return bytes.data() + row_bytes * row; }
  IntPanelMatmul into(std::vector<float>& y) const {
    return {type, bytes.data(), row_bytes, n_in, n_out, n_tokens, rounded.data(), y.data()};
  }

  std::vector<float> run() const {
    constexpr int32_t kGuard = 64;
    std::vector<float> y(static_cast<size_t>(n_out * n_tokens), kNan);
    std::vector<float> scratch(int_panel_matmul_scratch() + kGuard, kNan);
    std::fill_n(scratch.end() - kGuard, kGuard, kUntouched);
    for (int64_t i = int_panel_matmul_parts(n_out); i-- > 0;)
      int_panel_matmul_part(into(y), i, scratch.data());
    EXPECT_EQ(std::count(scratch.end() - kGuard, scratch.end(), kUntouched), kGuard)
        << "int_panel_matmul writes behind its scratch";
    return y;
  }

  std::string text() const {
    return std::string(ggml_type_name(type)) + " in " + std::to_string(n_in) + " out " +
           std::to_string(n_out) + " tokens " + std::to_string(n_tokens) + " seed " +
           std::to_string(seed);
  }

  ggml_type type;
  int64_t n_in;
  int64_t n_out;
  int64_t n_tokens;
  uint32_t seed;
  size_t row_bytes;
  std::vector<std::byte> bytes;
  std::vector<float> w;  // [n_in, n_out]
  std::vector<float> x;  // [n_in, n_tokens]
  std::vector<RoundedBlock> rounded;
};

// Dot products of the rounded activations in F64, and how far the kernel may be from them. Its sums
// within a block are exact. A block then costs a product of scales, one with the sum, an addition
// and as much for the minimum; to_float() rounds a product and a sum itself: sums of n_blocks
// terms, of which each is rounded at most six times.
void expect_near_on_all_targets(const Product& p) {
  SCOPED_TRACE(p.text());
  const int64_t n_blocks = p.n_in / kBlock;
  std::vector<double> want(static_cast<size_t>(p.n_out * p.n_tokens));
  std::vector<double> bound(want.size());
  for (int64_t t = 0; t < p.n_tokens; ++t) {
    for (int64_t row = 0; row < p.n_out; ++row) {
      double sum = 0;
      double magnitude = 0;
      for (int64_t b = 0; b < n_blocks; ++b) {
        const RoundedBlock& x = p.rounded[t * n_blocks + b];
        const float* w = p.w.data() + row * p.n_in + b * kBlock;
        // A weight may be the small difference of a large product and a large minimum.
        const float most = std::abs(*std::max_element(
            w, w + kBlock, [](float a, float c) { return std::abs(a) < std::abs(c); }));
        for (int64_t i = 0; i < kBlock; ++i) {
          sum += static_cast<double>(w[i]) * x.scale * x.q[i];
          magnitude += 3.0 * most * x.scale * std::abs(x.q[i]);
        }
      }
      want[t * p.n_out + row] = sum;
      bound[t * p.n_out + row] = sum_error(2 * n_blocks + 6) * magnitude;
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

TEST(IntPanelMatmul, EqualsTheF64ReferenceForEveryType) {
  uint32_t seed = 0;
  for (const ggml_type type : kTypes) {
    ASSERT_TRUE(has_int_panel_matmul(type)) << ggml_type_name(type);
    for (const int64_t n_in : {32, 64, 512, 544, 576, 1536}) {
      expect_near_on_all_targets(
          Product(type, whole_blocks(type, n_in), n_in == 576 ? 97 : 5, 9, ++seed));
      if (HasFatalFailure()) return;
    }
  }
}

TEST(IntPanelMatmul, EqualsTheF64ReferenceForEveryShape) {
  constexpr int64_t kOut[] = {1, 2, 11, 12, 13, 47, 48, 49, 100};
  uint32_t seed = 100;
  for (int64_t n_tokens = 1; n_tokens <= 70; n_tokens += n_tokens < 18 ? 1 : 13) {
    for (const int64_t n_out : kOut) {
      const ggml_type type = kTypes[seed % std::size(kTypes)];
      const int64_t n_in = whole_blocks(type, seed % 3 == 0 ? 64 : 576);
      expect_near_on_all_targets(Product(type, n_in, n_out, n_tokens, ++seed));
      if (HasFatalFailure()) return;
    }
  }
}

// The largest integers of weights and activations: sums must neither saturate nor wrap.
TEST(IntPanelMatmul, HoldsTheLargestIntegers) {
  for (const ggml_type type : kTypes) {
    for (const float sign : {-1.0F, 1.0F}) {
      Product p(type, whole_blocks(type, 64), 50, 5, 300);
      std::ranges::fill(p.x, sign);
      p.round();
      const std::vector<float> same(p.w.size(), 3);
      for (int64_t row = 0; row < p.n_out; ++row) {
        ggml_quantize_chunk(type, same.data(), p.row_of(row), 0, 1, p.n_in, nullptr);
        if (type == GGML_TYPE_Q8_0)  // -128 is in no file that ggml writes
          std::memset(p.row_of(row) + 2, 0x80, kBlock);
        ggml_get_type_traits(type)->to_float(p.row_of(row), p.w.data() + row * p.n_in, p.n_in);
      }
      expect_near_on_all_targets(p);
    }
  }
}

TEST(IntPanelMatmul, NeedsBlocksOf32) {
  for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_Q6_K, GGML_TYPE_I32})
    EXPECT_FALSE(has_int_panel_matmul(type)) << ggml_type_name(type);
}

// ggml's own rounding for products, which keeps its scales in F16.
TEST(RoundActivations, EqualsGgmlsQ8_0) {
  constexpr int64_t kValues = 4096;
  struct Block {
    uint16_t scale;
    std::array<int8_t, kBlock> q;
  };
  std::mt19937 rng(1);
  std::vector<float> x = random_values(kValues, 3, rng);
  std::fill_n(x.begin() + 64, kBlock, 0.0F);
  std::vector<Block> want(kValues / kBlock);
  ggml_get_type_traits(GGML_TYPE_Q8_0)->from_float_ref(x.data(), want.data(), kValues);
  for_each_simd_target([&](const char* target) {
    SCOPED_TRACE(target);
    std::vector<RoundedBlock> got(want.size());
    round_activations(x.data(), kValues, got.data());
    for (size_t b = 0; b < want.size(); ++b) {
      EXPECT_EQ(got[b].q, want[b].q) << "block " << b;
      EXPECT_NEAR(got[b].scale, ggml_fp16_to_fp32(want[b].scale), 0x1p-11 * got[b].scale);
      int32_t sum = 0;
      for (const int8_t q : got[b].q) sum += q;
      EXPECT_EQ(got[b].q_sum, sum);
      EXPECT_EQ(got[b].sum, got[b].scale * static_cast<float>(sum));
    }
  });
}

TEST(RoundActivations, TakesTheSmallestAndTheLargestNumbers) {
  for_each_simd_target([&](const char* target) {
    SCOPED_TRACE(target);
    for (const float most : {0.0F, 1e-45F, 1e-38F, 1e-30F, 1.0F, 3.4e38F}) {
      std::vector<float> x(kBlock, -most);
      x[7] = most / 2;
      RoundedBlock got{};
      round_activations(x.data(), kBlock, &got);
      for (int64_t i = 0; i < kBlock; ++i) {
        // Half a step, or what has no step.
        ASSERT_NEAR(got.scale * static_cast<double>(got.q[i]), x[i], most / 253.0 + 0x1p-120)
            << most;
      }
    }
    for (const float bad : {kNan, kInfinity, -kInfinity}) {
      for (int64_t i = 0; i < kBlock; ++i) {
        std::vector<float> x(kBlock, 1);
        x[i] = bad;
        RoundedBlock got{};
        round_activations(x.data(), kBlock, &got);
        EXPECT_TRUE(std::isnan(got.scale) && std::isnan(got.sum)) << bad << " at " << i;
      }
    }
  });
}

TEST(IntPanelMatmul, WritesItsPartAlone) {
  for (const int64_t n_out : {49, 100}) {
    const Product p(GGML_TYPE_Q4_1, 544, n_out, 9, 200);
    SCOPED_TRACE(p.text());
    for_each_simd_target([&](const char* target) {
      SCOPED_TRACE(target);
      const std::vector<float> whole = p.run();
      std::vector<float> scratch(int_panel_matmul_scratch());
      std::vector<int32_t> n_writers(whole.size());
      for (int64_t i = 0; i < int_panel_matmul_parts(n_out); ++i) {
        std::vector<float> y(whole.size(), kUntouched);
        int_panel_matmul_part(p.into(y), i, scratch.data());
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

TEST(IntPanelMatmul, PartsOfTwoThreadsGiveTheSame) {
  const Product p(GGML_TYPE_Q5_0, 1024, 200, 9, 201);
  for_each_simd_target([&](const char* target) {
    SCOPED_TRACE(target);
    std::vector<float> y(static_cast<size_t>(p.n_out * p.n_tokens));
    const auto run_every_second = [&](int64_t first) {
      std::vector<float> scratch(int_panel_matmul_scratch());
      for (int64_t i = first; i < int_panel_matmul_parts(p.n_out); i += 2)
        int_panel_matmul_part(p.into(y), i, scratch.data());
    };
    std::thread other([&] { run_every_second(1); });
    run_every_second(0);
    other.join();
    EXPECT_EQ(y, p.run());
  });
}

// A token's result does not depend on the tokens beside it.
TEST(IntPanelMatmul, GivesATokenTheSameAlone) {
  const Product p(GGML_TYPE_Q4_1, 576, 97, 7, 203);
  for_each_simd_target([&](const char* target) {
    SCOPED_TRACE(target);
    const std::vector<float> all = p.run();
    for (int64_t t = 0; t < p.n_tokens; ++t) {
      Product one = p;
      one.n_tokens = 1;
      one.rounded.assign(p.rounded.begin() + t * p.n_in / kBlock,
                         p.rounded.begin() + (t + 1) * p.n_in / kBlock);
      const std::vector<float> got = one.run();
      EXPECT_TRUE(std::equal(got.begin(), got.end(), all.begin() + t * p.n_out)) << "token " << t;
    }
  });
}

// A broken scale or input shows in its row or token, and there alone.
TEST(IntPanelMatmul, ShowsNanInItsRowOrToken) {
  for (const ggml_type type : kTypes) {
    for (const uint16_t bad_scale : {0x7C00, 0xFC00, 0x7E00, 0xFFFF}) {  // F16 infinities and NaN
      for (const int64_t bad_row : {0, 47, 48, 50}) {
        const int64_t n_in = whole_blocks(type, 800);
        Product p(type, n_in, 51, 9, 202);
        const int64_t bad_token = bad_row % 9;
        SCOPED_TRACE(p.text());
        const size_t last_block = ggml_row_size(type, n_in - ggml_blck_size(type));
        std::memcpy(p.row_of(bad_row) + last_block, &bad_scale, sizeof(bad_scale));
        p.x[bad_token * n_in + 3] = bad_row == 0 ? kInfinity : kNan;
        p.round();
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
TEST(IntPanelMatmul, EveryTargetIsCompiledIn) {
  int64_t scalar = 0;
  {
    const ForcedSimdTarget forced(HWY_SCALAR);
    scalar = int_panel_matmul_scratch();
  }
  for_each_simd_target([&](const char* target) {
    if (std::string(target) == "SCALAR") return;
    EXPECT_GT(int_panel_matmul_scratch(), scalar) << target << " runs as the scalar kernels";
  });
}

}  // namespace
}  // namespace reprise
