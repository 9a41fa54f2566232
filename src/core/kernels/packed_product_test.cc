#include "core/kernels/packed_product.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "core/kernels/attention_reference_test.h"
#include "core/kernels/gelu.h"
#include "core/kernels/simd_targets_test.h"

namespace reprise {
namespace {

constexpr float kUntouched = 123456.0F;
constexpr std::align_val_t kLine{64};

struct FreeAligned {
  void operator()(std::byte* memory) const { ::operator delete(memory, kLine); }
};

// Random weights in a type, packed, the numbers they stand for, and random inputs whose rows stand
// apart.
struct Case {
  Case(ggml_type t, int64_t in, int64_t out, int64_t rows, std::mt19937& rng)
      : type(t),
        n_in(in),
        n_out(out),
        n_rows(rows),
        bytes(ggml_row_size(t, in) * out),
        w(static_cast<size_t>(in * out)),
        bias(random_values(static_cast<size_t>(out), 1, rng)),
        x(random_values(static_cast<size_t>((in + 3) * rows), 1, rng)) {
    const std::vector<float> normal = random_values(w.size(), 1, rng);
    ggml_quantize_chunk(type, normal.data(), bytes.data(), 0, out, in, nullptr);
    pack();
  }

  void pack() {  // after a change of bytes
    panels.reset(static_cast<std::byte*>(::operator new(packed_bytes(type, n_in, n_out), kLine)));
    pack_weights(type, n_in, n_out, bytes.data(), panels.get());
    if (type == GGML_TYPE_F32) {
      std::memcpy(w.data(), bytes.data(), bytes.size());
    } else {
      ggml_get_type_traits(type)->to_float(bytes.data(), w.data(), n_in * n_out);
    }
  }

  PackedProduct product(float* y, PackedResult result = PackedResult::kPlain) const {
    return {{type, n_in, n_out, panels.get()},
            bias.data(),
            x.data(),
            n_in + 3,
            n_rows,
            y,
            n_out + 2,
            result};
  }
  std::vector<float> run(PackedResult result = PackedResult::kPlain) const {
    std::vector<float> y(static_cast<size_t>((n_out + 2) * n_rows), kUntouched);
    packed_product(product(y.data(), result));
    return y;
  }
  std::string text() const {
    return std::string(ggml_type_name(type)) + " in " + std::to_string(n_in) + " out " +
           std::to_string(n_out) + " rows " + std::to_string(n_rows);
  }

  ggml_type type;
  int64_t n_in;
  int64_t n_out;
  int64_t n_rows;
  std::vector<std::byte> bytes;
  std::vector<float> w;  // [n_out][n_in]
  std::vector<float> bias;
  std::vector<float> x;
  std::unique_ptr<std::byte, FreeAligned> panels;
};

void expect_near_on_all_targets(const Case& c) {
  SCOPED_TRACE(c.text());
  for_each_simd_target([&](const char* target) {
    SCOPED_TRACE(target);
    const std::vector<float> y = c.run();
    for (int64_t r = 0; r < c.n_rows; ++r) {
      for (int64_t out = 0; out < c.n_out + 2; ++out) {
        const float got = y[r * (c.n_out + 2) + out];
        if (out >= c.n_out) {
          ASSERT_EQ(got, kUntouched) << "writes beyond a row's end";
          continue;
        }
        double sum = c.bias[out];
        double magnitude = std::abs(sum);
        for (int64_t k = 0; k < c.n_in; ++k) {
          const double term =
              static_cast<double>(c.w[out * c.n_in + k]) * c.x[r * (c.n_in + 3) + k];
          sum += term;
          magnitude += std::abs(term);
        }
        // A product rounds like a sum where a target cannot fuse them.
        ASSERT_NEAR(got, sum, (sum_error(c.n_in + 1) + kUnit) * magnitude)
            << "row " << r << " output " << out;
      }
    }
  });
}

TEST(PackedProduct, EqualsTheF64ReferenceForEveryTypeAndShape) {
  uint32_t seed = 0;
  for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_Q8_0}) {
    for (const int64_t n_in : {1, 18, 32, 33, 64, 128}) {
      if (n_in % ggml_blck_size(type) != 0) continue;
      for (const int64_t n_out : {1, 2, 31, 32, 33, 96}) {
        for (const int64_t n_rows : {1, 6, 16, 17}) {
          std::mt19937 rng(++seed);
          expect_near_on_all_targets(Case(type, n_in, n_out, n_rows, rng));
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

TEST(PackedProduct, TakesNoBias) {
  std::mt19937 rng(300);
  Case c(GGML_TYPE_F16, 64, 40, 9, rng);
  std::ranges::fill(c.bias, 0.0F);
  for_each_simd_target([&](const char* target) {
    SCOPED_TRACE(target);
    std::vector<float> y(static_cast<size_t>((c.n_out + 2) * c.n_rows), kUntouched);
    PackedProduct p = c.product(y.data());
    p.bias = nullptr;
    packed_product(p);
    EXPECT_EQ(y, c.run());
  });
}

TEST(PackedProduct, GeluIsThatOfThePlainResult) {
  std::mt19937 rng(301);
  for (const int64_t n_out : {64, 41}) {
    const Case c(GGML_TYPE_F16, 64, n_out, 9, rng);
    for_each_simd_target([&](const char* target) {
      SCOPED_TRACE(target);
      std::vector<float> want = c.run();
      const std::vector<float> got = c.run(PackedResult::kGelu);
      for (size_t i = 0; i < want.size(); ++i) {
        if (want[i] == kUntouched) continue;
        float y = 0;
        gelu(&want[i], 1, &y);
        ASSERT_EQ(got[i], y);
      }
    });
  }
}

// A row computed alone has the bits it has among others.
TEST(PackedProduct, RowsAreIndependent) {
  std::mt19937 rng(302);
  for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_Q8_0}) {
    const Case c(type, 96, 100, 19, rng);
    SCOPED_TRACE(c.text());
    for_each_simd_target([&](const char* target) {
      SCOPED_TRACE(target);
      const std::vector<float> whole = c.run();
      std::vector<float> pieces(whole.size(), kUntouched);
      for (int64_t r = 0; r < c.n_rows; ++r) {
        PackedProduct p = c.product(pieces.data() + r * (c.n_out + 2));
        p.x += r * p.x_row;
        p.n_rows = 1;
        packed_product(p);
      }
      EXPECT_EQ(pieces, whole);
    });
  }
}

// Half of the numbers that F16 has below 1 have no full precision, and weights decay towards them.
TEST(PackedProduct, TakesSmallF16Weights) {
  std::mt19937 rng(303);
  Case c(GGML_TYPE_F16, 64, 40, 9, rng);
  std::vector<ggml_fp16_t> small(c.w.size());
  for (size_t i = 0; i < small.size(); ++i) {
    // From the least number to beyond the last without full precision, both signs.
    small[i] = static_cast<ggml_fp16_t>((i % 2 << 15U) + 1 + i * 7 % 0x800);
  }
  std::memcpy(c.bytes.data(), small.data(), c.bytes.size());
  c.pack();
  expect_near_on_all_targets(c);
}

// Weights are finite, for whoever loads them looks.
TEST(PackedProduct, ShowsNanInItsRow) {
  std::mt19937 rng(304);
  for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_Q8_0}) {
    Case c(type, 64, 40, 17, rng);
    SCOPED_TRACE(c.text());
    c.x[5 * 67 + 5] = std::numeric_limits<float>::infinity();
    c.x[5 * 67 + 6] = std::numeric_limits<float>::quiet_NaN();
    c.x[16 * 67 + 6] = std::numeric_limits<float>::quiet_NaN();
    for_each_simd_target([&](const char* target) {
      SCOPED_TRACE(target);
      for (const PackedResult result : {PackedResult::kPlain, PackedResult::kGelu}) {
        const std::vector<float> y = c.run(result);
        for (int64_t r = 0; r < c.n_rows; ++r) {
          for (int64_t out = 0; out < c.n_out; ++out)
            ASSERT_EQ(std::isfinite(y[r * 42 + out]), r != 5 && r != 16) << "row " << r;
        }
      }
    });
  }
}

}  // namespace
}  // namespace reprise
