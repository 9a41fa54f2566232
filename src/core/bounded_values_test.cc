#include "core/bounded_values_test.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "core/kernels/attention_reference_test.h"
#include "core/kernels/token_matvec.h"

namespace reprise {
namespace {

constexpr double kHalfUnit = 0x1p-11;  // unit roundoff of F16
constexpr double kHalfTiny = 0x1p-25;  // half of its smallest number
constexpr int64_t kBlock = 32;         // of q8_0, q8_1 and round_token()
constexpr int64_t kLargeBlock = 256;   // of q8_K

// How far rounding to bytes may move a value of a block whose largest magnitude is max: half a
// step, and three roundings of up to 127 steps.
double byte_error(double max) { return (0.5 + 4 * 127 * kUnit) * max / 127; }

double largest(const std::vector<double>& magnitude, int64_t begin, int64_t end) {
  return *std::max_element(magnitude.begin() + begin, magnitude.begin() + end);
}

// How far rounding x may move the product with a row of w. magnitude: of x with its error.
double rounding_error(const TestWeights& w, const float* row, const std::vector<double>& magnitude,
                      Computer computer) {
  double error = 0;
  if (w.type() == GGML_TYPE_F32) return 0;
  if (w.type() == GGML_TYPE_F16) {
    for (int64_t i = 0; i < w.n_in(); ++i)
      error += std::abs(row[i]) * (kHalfUnit * magnitude[i] + kHalfTiny);
    return error;
  }
  // Ours takes blocks of 32 for every type that it has, ggml those of 256 for K-quants.
  const bool is_ours = computer == Computer::kOurs && has_token_matvec(w.type());
  const bool is_k_quant = ggml_blck_size(w.type()) == kLargeBlock;
  const int64_t block = is_k_quant && !is_ours ? kLargeBlock : kBlock;
  for (int64_t b = 0; b < w.n_in(); b += block) {
    const double max = largest(magnitude, b, b + block);
    double weight = 0;
    float largest_weight = 0;
    double all = 0;
    for (int64_t i = b; i < b + block; ++i) {
      weight += std::abs(row[i]);
      largest_weight = std::max(largest_weight, std::abs(row[i]));
      all += magnitude[i];
    }
    error += weight * byte_error(max);
    if (!is_ours && !is_k_quant) {
      // Its scale is F16, and so is the block's sum, which the minimum of q4_1 multiplies: one of
      // the weights, for it is where the quant is 0.
      error += weight * 127 * (kHalfUnit * max / 127 + kHalfTiny);
      if (w.type() == GGML_TYPE_Q4_1)
        error += largest_weight * (kHalfUnit * (all + block * byte_error(max)) + kHalfTiny);
    }
  }
  return error;
}

double root_mean_square(const std::vector<double>& x) {
  double squares = 0;
  for (const double v : x) squares += v * v;
  return std::sqrt(squares / static_cast<double>(x.size()));
}

std::vector<double> magnitudes(const BoundedValues& x) {
  std::vector<double> out(x.value.size());
  for (size_t i = 0; i < out.size(); ++i) out[i] = std::abs(x.value[i]) + x.error[i];
  return out;
}

}  // namespace

TestWeights::TestWeights(ggml_type type, int64_t n_in, int64_t n_out, std::mt19937& rng)
    : type_(type),
      n_in_(n_in),
      n_out_(n_out),
      row_bytes_(ggml_row_size(type, n_in) + ggml_type_size(type)),
      // All bits set: NaN as F32, as F16 and as a block's scale.
      bytes_(row_bytes_ * n_out, std::byte{0xFF}),
      values_(static_cast<size_t>(n_in * n_out)) {
  const std::vector<float> normal =
      random_values(values_.size(), 1 / std::sqrt(static_cast<float>(n_in)), rng);
  for (int64_t i = 0; i < n_out; ++i) {
    std::byte* to = bytes_.data() + row_bytes_ * i;
    ggml_quantize_chunk(type, normal.data() + n_in * i, to, 0, 1, n_in, nullptr);
    if (type == GGML_TYPE_F32) {
      std::memcpy(values_.data() + n_in * i, to, sizeof(float) * n_in);
    } else {
      ggml_get_type_traits(type)->to_float(to, values_.data() + n_in * i, n_in);
    }
  }
}

ggml_tensor* TestWeights::tensor(GraphArena& arena) {
  return arena.view(nullptr, bytes_.data(), type_, {n_in_, n_out_, 1}, row_bytes_,
                    row_bytes_ * n_out_);
}

ggml_tensor* vector_leaf(GraphArena& arena, std::vector<float>& values) {
  if (values.empty()) return nullptr;
  const size_t n_bytes = sizeof(float) * values.size();
  return arena.view(nullptr, values.data(), GGML_TYPE_F32,
                    {static_cast<int64_t>(values.size()), 1, 1}, n_bytes, n_bytes);
}

BoundedValues exact(std::span<const float> x) {
  return {std::vector<double>(x.begin(), x.end()), std::vector<double>(x.size())};
}

BoundedValues product(const TestWeights& w, const BoundedValues& x, Computer computer) {
  const std::vector<double> magnitude = magnitudes(x);
  BoundedValues y;
  for (int64_t r = 0; r < w.n_out(); ++r) {
    const float* row = w.row(r);
    double value = 0;
    double moved = rounding_error(w, row, magnitude, computer);
    double all = moved;
    for (int64_t i = 0; i < w.n_in(); ++i) {
      value += row[i] * x.value[i];
      moved += std::abs(row[i]) * x.error[i];
      all += std::abs(row[i]) * magnitude[i];
    }
    y.value.push_back(value);
    // A weight with a minimum is two terms; a term has up to four roundings of its own.
    y.error.push_back(moved + sum_error(2 * w.n_in() + 4) * all);
  }
  return y;
}

BoundedValues normed(const BoundedValues& x, std::span<const float> weight, float eps) {
  const double rms = root_mean_square(x.value);
  const double change = root_mean_square(x.error);  // of the root mean square, at most
  const auto factor = [&](double r) { return 1 / std::sqrt(r * r + static_cast<double>(eps)); };
  const double largest_factor = factor(std::max(0.0, rms - change));
  const double rounding = sum_error(static_cast<int64_t>(x.value.size()) + 1) / 2 + 6 * kUnit;
  BoundedValues out;
  for (size_t i = 0; i < x.value.size(); ++i) {
    const double w = std::abs(weight[i]);
    out.value.push_back(x.value[i] * factor(rms) * weight[i]);
    out.error.push_back(w * (x.error[i] * largest_factor +
                             std::abs(x.value[i]) * (largest_factor - factor(rms)) +
                             rounding * (std::abs(x.value[i]) + x.error[i]) * largest_factor));
  }
  return out;
}

BoundedValues sum(const BoundedValues& a, const BoundedValues& b) {
  BoundedValues out;
  for (size_t i = 0; i < a.value.size(); ++i) {
    const double value = a.value[i] + b.value[i];
    const double error = a.error[i] + b.error[i];
    out.value.push_back(value);
    out.error.push_back(error + kUnit * (std::abs(value) + error));
  }
  return out;
}

BoundedValues gated(Activation activation, const BoundedValues& gate, const BoundedValues& up,
                    Computer computer) {
  constexpr double kSteepest = 1.13;  // of gelu; silu's is 1.1
  BoundedValues out;
  for (size_t i = 0; i < gate.value.size(); ++i) {
    const double x = gate.value[i];
    const double z = activation == Activation::kSilu
                         ? x
                         : 2 * std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
    const double active = x / (1 + std::exp(-z));
    const double magnitude = std::abs(x) + gate.error[i];
    // Roundings of z, of which at most 0.23 reach the sigmoid, and of the sigmoid and the product.
    double error = kSteepest * gate.error[i] + 10 * kUnit * magnitude;
    if (activation == Activation::kGelu && computer == Computer::kGgml)  // a table over F16 of F16
      error += (kSteepest + 1.01) * kHalfUnit * magnitude + 3 * kHalfTiny;
    const double value = active * up.value[i];
    const double moved =
        error * (std::abs(up.value[i]) + up.error[i]) + std::abs(active) * up.error[i];
    out.value.push_back(value);
    out.error.push_back(moved + kUnit * (std::abs(value) + moved));
  }
  return out;
}

void expect_within(std::span<const float> got, const BoundedValues& want) {
  ASSERT_EQ(got.size(), want.value.size());
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], want.value[i], want.error[i]) << "value " << i;
}

}  // namespace reprise
