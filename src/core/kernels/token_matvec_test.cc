#include "core/kernels/token_matvec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "core/kernels/attention_reference_test.h"
#include "core/kernels/simd_targets_test.h"

namespace reprise {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kUntouched = 123456.0F;
constexpr int64_t kBlock = 32;
constexpr ggml_type kTypes[] = {GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q5_0,
                                GGML_TYPE_Q5_1, GGML_TYPE_Q8_0, GGML_TYPE_IQ4_NL,
                                GGML_TYPE_Q4_K, GGML_TYPE_Q5_K, GGML_TYPE_Q6_K};

bool is_k_quant(ggml_type type) { return ggml_blck_size(type) != kBlock; }

// Whether a second F16 behind the scale multiplies minima: of q4_1 and q5_1 it is the minimum, of
// K-quants the unit of minima of 6 bits.
bool has_min(ggml_type type) {
  return type == GGML_TYPE_Q4_1 || type == GGML_TYPE_Q5_1 || type == GGML_TYPE_Q4_K ||
         type == GGML_TYPE_Q5_K;
}

// Random weights as a model file holds them, and random activations of blocks that differ in
// magnitude. Behind each row of weights stand bytes of no row, at an odd distance.
struct Matvec {
  Matvec(ggml_type t, int64_t in, int64_t out, std::mt19937& rng)
      : type(t),
        n_in(in),
        n_out(out),
        row_bytes(ggml_row_size(t, in) + 3),
        bytes(row_bytes * out, std::byte{0xFF}),
        x(random_values(static_cast<size_t>(in), 1, rng)) {
    const std::vector<float> normal = random_values(static_cast<size_t>(in * out), 1, rng);
    for (int64_t row = 0; row < out; ++row) {
      ggml_quantize_chunk(type, normal.data() + row * in, block(row, 0), 0, 1, in, nullptr);
    }
    for (int64_t i = 0; i < in; ++i) x[i] *= std::ldexp(1.0F, static_cast<int>(i / kBlock % 7) - 3);
    // In a block of extremes, both kinds of bytes are as large as they become.
    if (type == GGML_TYPE_Q8_0) std::memset(block(out - 1, 0) + 2, 0x80, kBlock);
    std::fill_n(x.begin(), kBlock, x[0]);
  }

  std::byte* block(int64_t row, int64_t b) {
    return bytes.data() + row_bytes * row + ggml_type_size(type) * b;
  }

  const std::byte* block(int64_t row, int64_t b) const {
    return bytes.data() + row_bytes * row + ggml_type_size(type) * b;
  }

  std::vector<float> weights(int64_t row) const {
    std::vector<float> w(static_cast<size_t>(n_in));
    ggml_get_type_traits(type)->to_float(bytes.data() + row_bytes * row, w.data(), n_in);
    return w;
  }

  std::string text() const {
    return std::string(ggml_type_name(type)) + " in " + std::to_string(n_in) + " out " +
           std::to_string(n_out);
  }

  ggml_type type;
  int64_t n_in;
  int64_t n_out;
  size_t row_bytes;
  std::vector<std::byte> bytes;
  std::vector<float> x;  // [n_in]
};

// x as the products take it, with what keeps its memory.
struct Rounded {
  explicit Rounded(const std::vector<float>& x)
      : memory(rounded_token_bytes(static_cast<int64_t>(x.size()))),
        token(round_token(x.data(), static_cast<int64_t>(x.size()), memory.data())) {}

  std::vector<std::byte> memory;
  RoundedToken token;
};

// Rows split where the bits of `splits` say: bit i in front of row 16 (i + 1).
std::vector<float> run(const Matvec& p, uint32_t splits = 0) {
  constexpr int32_t kGuard = 64;
  const Rounded x(p.x);
  const TokenMatvec m{p.type, p.bytes.data(), p.row_bytes, p.n_in, p.n_out, x.token};
  std::vector<float> y(static_cast<size_t>(p.n_out) + kGuard, kUntouched);
  int64_t first = 0;
  for (int64_t end = 16; first < p.n_out; end += 16) {
    const bool is_split = (splits >> (end / 16 - 1) & 1) != 0;
    if (end < p.n_out && !is_split) continue;
    const int64_t n = std::min(end, p.n_out) - first;
    const float behind = y[first + n];
    token_matvec_rows(m, first, n, y.data() + first);
    EXPECT_EQ(y[first + n], behind) << "token_matvec writes behind row " << first + n;
    first += n;
  }
  EXPECT_EQ(std::count(y.end() - kGuard, y.end(), kUntouched), kGuard)
      << "token_matvec writes behind its rows";
  y.resize(static_cast<size_t>(p.n_out));
  return y;
}

// A row's product in F64, and how far a kernel may be from it.
struct Bounded {
  double value = 0;
  double bound = 0;
};

struct RowProducts {
  Bounded rounded;  // with the activations as round_token() left them
  Bounded exact;    // with the activations themselves
};

RowProducts products(const Matvec& p, const RoundedToken& x, int64_t row) {
  const std::vector<float> w = p.weights(row);
  const int64_t type_block = ggml_blck_size(p.type);
  RowProducts out;
  double magnitude = 0;  // of what a kernel adds up, at most
  double steps = 0;      // what rounding the activations may move
  for (int64_t b = 0; b < p.n_in / kBlock; ++b) {
    double minimum = 0;
    if (has_min(p.type)) {
      ggml_fp16_t half = 0;
      std::memcpy(&half, p.block(row, b * kBlock / type_block) + 2, sizeof(half));
      minimum = std::abs(ggml_fp16_to_fp32(half)) * (is_k_quant(p.type) ? 63 : 1);
    }
    double weight = 0;
    for (int64_t i = b * kBlock; i < (b + 1) * kBlock; ++i) {
      const double value = static_cast<double>(x.scale[b]) * x.q[i];
      out.rounded.value += w[i] * value;
      out.exact.value += static_cast<double>(w[i]) * p.x[i];
      // A weight with a minimum is added as two terms.
      magnitude += (std::abs(w[i]) + 2 * minimum) * std::abs(value);
      weight += std::abs(w[i]);
    }
    // To the nearest of steps that are themselves rounded, as the quotient was: three roundings of
    // at most 127 steps.
    steps += (0.5 + 4 * 127 * kUnit) * x.scale[b] * weight;
  }
  // The integers are exact. Terms: of parts of 16 values or more, twice with a minimum. Each has up
  // to four roundings of its own, and ggml's way from the file to w up to three.
  out.rounded.bound = sum_error(p.n_in / 16 * 2 + 7) * magnitude;
  out.exact.bound = out.rounded.bound + steps;
  return out;
}

TEST(TokenMatvec, EqualsTheF64ProductUnderEveryTarget) {
  constexpr int64_t kIn[] = {32, 64, 96, 160, 288, 576, 1536, 2048};
  uint32_t seed = 0;
  for (const ggml_type type : kTypes) {
    for (int64_t n_out = 1; n_out <= 100; n_out += n_out < 35 ? 1 : 13) {
      std::mt19937 rng(++seed);
      const int64_t n_in = kIn[seed % std::size(kIn)];
      const Matvec p(type, is_k_quant(type) ? (n_in + 255) / 256 * 256 : n_in, n_out, rng);
      SCOPED_TRACE(p.text() + " seed " + std::to_string(seed));
      for_each_simd_target([&](const char* target) {
        SCOPED_TRACE(target);
        const Rounded x(p.x);
        const std::vector<float> y = run(p);
        for (int64_t row = 0; row < n_out; ++row) {
          const RowProducts want = products(p, x.token, row);
          ASSERT_NEAR(y[row], want.rounded.value, want.rounded.bound) << "row " << row;
          ASSERT_NEAR(y[row], want.exact.value, want.exact.bound) << "row " << row;
        }
      });
      if (HasFatalFailure()) return;
    }
  }
}

TEST(TokenMatvec, EverySplitIntoMultiplesOf16GivesTheSameBits) {
  for (const ggml_type type : kTypes) {
    for (const int64_t n_out : {16, 17, 31, 33, 48, 63, 100}) {
      std::mt19937 rng(static_cast<uint32_t>(n_out));
      const Matvec p(type, 3 * ggml_blck_size(type), n_out, rng);
      SCOPED_TRACE(p.text());
      for_each_simd_target([&](const char* target) {
        SCOPED_TRACE(target);
        const std::vector<float> whole = run(p);
        const uint32_t n_splits = 1U << ((n_out - 1) / 16);
        for (uint32_t splits = 1; splits < n_splits; ++splits)
          ASSERT_EQ(run(p, splits), whole) << "splits " << splits;
      });
    }
  }
}

// A broken scale, or minimum, shows in its row and there alone.
TEST(TokenMatvec, ShowsNanAndInfinityInTheirRow) {
  constexpr uint16_t kHalfNan = 0x7E00;
  constexpr uint16_t kHalfInfinity = 0xFC00;
  for (const ggml_type type : kTypes) {
    for (const int64_t n_out : {5, 16, 35}) {
      for (const int64_t bad_row : {int64_t{0}, int64_t{3}, n_out - 1}) {
        for (const uint16_t bits : {kHalfNan, kHalfInfinity}) {
          for (const size_t at : {0, 2}) {
            if (at == 2 && !has_min(type)) continue;
            std::mt19937 rng(301);
            Matvec p(type, 3 * ggml_blck_size(type), n_out, rng);
            // Of q6_k the scale stands at the end.
            const size_t place = type == GGML_TYPE_Q6_K ? 208 : at;
            std::memcpy(p.block(bad_row, 2) + place, &bits, sizeof(bits));
            SCOPED_TRACE(p.text() + " bad row " + std::to_string(bad_row));
            for_each_simd_target([&](const char* target) {
              const std::vector<float> y = run(p);
              for (int64_t row = 0; row < n_out; ++row)
                ASSERT_EQ(std::isfinite(y[row]), row != bad_row) << target << " row " << row;
            });
          }
        }
      }
    }
  }
}

TEST(TokenMatvec, ShowsNanAndInfinityOfTheActivationsInEveryRow) {
  for (const ggml_type type : kTypes) {
    for (const float bad :
         {kNan, std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()}) {
      for (const int64_t at : {0, 31, 32, 77, 95}) {
        std::mt19937 rng(302);
        Matvec p(type, 3 * ggml_blck_size(type), 35, rng);
        p.x[at] = bad;
        for_each_simd_target([&](const char* target) {
          const std::vector<float> y = run(p);
          EXPECT_TRUE(std::all_of(y.begin(), y.end(), [](float v) { return std::isnan(v); }))
              << target << " " << p.text() << ": " << bad << " at " << at;
        });
      }
    }
  }
}

TEST(TokenMatvec, HasTheTypesItNames) {
  for (const ggml_type type : kTypes) EXPECT_TRUE(has_token_matvec(type)) << ggml_type_name(type);
  for (const ggml_type type :
       {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_Q8_1, GGML_TYPE_Q3_K, GGML_TYPE_I32}) {
    EXPECT_FALSE(has_token_matvec(type)) << ggml_type_name(type);
  }
}

}  // namespace
}  // namespace reprise
