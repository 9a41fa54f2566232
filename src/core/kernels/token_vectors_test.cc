#include "core/kernels/token_vectors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <random>
#include <vector>

#include "core/kernels/attention_reference_test.h"
#include "core/kernels/simd_targets_test.h"

namespace reprise {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kMax = std::numeric_limits<float>::max();
constexpr float kUntouched = 123456.0F;
// With and without values behind the last whole vector.
constexpr int64_t kLengths[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 576};

using Gated = void (*)(const float* gate, const float* up, int64_t n, float* out);

// Where `out` is another vector, nothing behind it is written.
std::vector<float> gated(Gated f, const std::vector<float>& gate, const std::vector<float>& up) {
  std::vector<float> out(gate.size() + 16, kUntouched);
  f(gate.data(), up.data(), static_cast<int64_t>(gate.size()), out.data());
  EXPECT_EQ(std::count(out.end() - 16, out.end(), kUntouched), 16) << "writes behind its vector";
  out.resize(gate.size());
  return out;
}

std::vector<float> normed(const std::vector<float>& x, const std::vector<float>& weight,
                          float eps) {
  std::vector<float> out(x.size() + 16, kUntouched);
  rms_norm(x.data(), weight.data(), eps, static_cast<int64_t>(x.size()), out.data());
  EXPECT_EQ(std::count(out.end() - 16, out.end(), kUntouched), 16) << "writes behind its vector";
  out.resize(x.size());
  return out;
}

TEST(TokenVectors, RmsNormEqualsF64) {
  constexpr float kEps = 1e-5F;
  uint32_t seed = 0;
  for (const int64_t n : kLengths) {
    for (const float magnitude : {1e-3F, 1.0F, 1e4F}) {
      std::mt19937 rng(++seed);
      const std::vector<float> x = random_values(static_cast<size_t>(n), magnitude, rng);
      const std::vector<float> weight = random_values(static_cast<size_t>(n), 1, rng);
      double squares = 0;
      for (const float v : x) squares += static_cast<double>(v) * v;
      const double factor =
          1 / std::sqrt(squares / static_cast<double>(n) + static_cast<double>(kEps));
      // Half of the sum's error and of the two roundings behind it, then root, inverse and two
      // products.
      const double error = sum_error(n + 1) / 2 + 5 * kUnit;
      for_each_simd_target([&](const char* target) {
        const std::vector<float> got = normed(x, weight, kEps);
        for (int64_t i = 0; i < n; ++i) {
          const double want = factor * x[i] * weight[i];
          ASSERT_NEAR(got[i], want, error * std::abs(want))
              << target << " n " << n << " value " << i << " seed " << seed;
        }
        std::vector<float> in_place = x;
        rms_norm(in_place.data(), weight.data(), kEps, n, in_place.data());
        EXPECT_EQ(in_place, got) << target << " n " << n;
      });
    }
  }
}

TEST(TokenVectors, RmsNormShowsNanAndInfinity) {
  for (const int64_t n : {5, 16, 37}) {
    const std::vector<float> ones(static_cast<size_t>(n), 1);
    for (const float bad : {kNan, kInfinity, -kInfinity}) {
      for (int64_t at = 0; at < n; ++at) {
        std::vector<float> x = ones;
        x[at] = bad;
        for_each_simd_target([&](const char* target) {
          EXPECT_TRUE(std::isnan(normed(x, ones, 1e-5F)[at])) << target << " " << bad << " " << at;
          const std::vector<float> weighted = normed(ones, x, 1e-5F);
          for (int64_t i = 0; i < n; ++i)
            ASSERT_EQ(std::isfinite(weighted[i]), i != at) << target << " " << bad << " " << at;
        });
      }
    }
  }
}

double sigmoid(double z) { return 1 / (1 + std::exp(-z)); }

// What a gate becomes in F64, and how far the kernel may be from it.
struct Activated {
  double value;
  double bound;
};

// Below, the kernel says 0.
constexpr double kLeastExponent = -80;

// x sigmoid(z), with z itself wrong by z_error. The sigmoid: an exp of 2 ulp (4 units), a sum and a
// quotient, then the product with x.
Activated activated(double x, double z, double z_error) {
  const double s = sigmoid(z);
  const double error = (1 - s) * (std::expm1(z_error) + 4 * kUnit) + 3 * kUnit;
  const double cut = z < kLeastExponent + 1 ? std::exp(kLeastExponent + 2) : 0;
  return {x * s, std::abs(x * s) * error + std::abs(x) * std::min(cut, s)};
}

Activated silu(float x) { return activated(x, x, 0); }

Activated gelu(float x) {
  const double v = x;
  const double z = 2 * std::sqrt(2 / std::numbers::pi) * (v + 0.044715 * v * v * v);
  // Two constants, and four products and sums of one sign.
  return activated(v, z, std::abs(z) < 200 ? 6 * kUnit * std::abs(z) : 0);
}

void expect_gated(Gated f, Activated (*reference)(float), const std::vector<float>& gate,
                  const std::vector<float>& up) {
  for_each_simd_target([&](const char* target) {
    const std::vector<float> got = gated(f, gate, up);
    for (size_t i = 0; i < gate.size(); ++i) {
      const Activated want = reference(gate[i]);
      const double value = want.value * up[i];
      // One product more, which may leave the normal numbers.
      const double bound = want.bound * std::abs(up[i]) + kUnit * std::abs(value) + 0x1p-126;
      ASSERT_NEAR(got[i], value, bound)
          << target << " n " << gate.size() << " value " << i << " gate " << gate[i];
    }
    std::vector<float> in_place = gate;
    f(in_place.data(), up.data(), static_cast<int64_t>(gate.size()), in_place.data());
    EXPECT_EQ(in_place, got) << target << " over the gate";
    in_place = up;
    f(gate.data(), in_place.data(), static_cast<int64_t>(gate.size()), in_place.data());
    EXPECT_EQ(in_place, got) << target << " over up";
  });
}

TEST(TokenVectors, GatedUnitsEqualF64) {
  uint32_t seed = 100;
  for (const int64_t n : kLengths) {
    std::mt19937 rng(++seed);
    const std::vector<float> gate = random_values(static_cast<size_t>(n), 4, rng);
    const std::vector<float> up = random_values(static_cast<size_t>(n), 4, rng);
    expect_gated(swiglu, silu, gate, up);
    expect_gated(geglu, gelu, gate, up);
    if (HasFatalFailure()) return;
  }
}

// Each gate in every lane, for whole vectors and for what is behind them.
TEST(TokenVectors, GatedUnitsTakeEveryMagnitude) {
  for (const float magnitude : {0.0F, 0x1p-149F, 1e-30F, 1e-5F, 9.0F, 10.0F, 79.9F, 80.1F, 87.0F,
                                90.0F, 104.0F, 1e3F, 1e4F, 1e10F, 1e20F, 1e30F, kMax}) {
    for (const float gate : {magnitude, -magnitude}) {
      const std::vector<float> gates(37, gate);
      const std::vector<float> ups(37, 0.5F);
      expect_gated(swiglu, silu, gates, ups);
      expect_gated(geglu, gelu, gates, ups);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(TokenVectors, GatedUnitsShowNanAndInfinityInTheirPlace) {
  constexpr int64_t kN = 37;
  for (const Gated f : {Gated{swiglu}, Gated{geglu}}) {
    for (const float bad : {kNan, kInfinity, -kInfinity}) {
      for (int64_t at = 0; at < kN; ++at) {
        std::vector<float> bads(kN, 1);
        const std::vector<float> ones = bads;
        bads[at] = bad;
        for_each_simd_target([&](const char* target) {
          for (const std::vector<float>& got : {gated(f, bads, ones), gated(f, ones, bads)}) {
            for (int64_t i = 0; i < kN; ++i)
              ASSERT_EQ(std::isfinite(got[i]), i != at) << target << " " << bad << " " << at;
          }
        });
      }
    }
  }
}

}  // namespace
}  // namespace reprise
