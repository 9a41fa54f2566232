#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "core/backend.h"
#include "core/feed_forward_node.h"
#include "ggml.h"

namespace reprise {

// A vector in F64, and how far one that was computed in F32 from the same inputs may be from it.
struct BoundedValues {
  std::vector<double> value;
  std::vector<double> error;
};

// A weight tensor as a model file holds it, and the numbers it stands for. Between its rows stands
// a block of NaN.
class TestWeights {
 public:
  // Normal values times 1 / sqrt(n_in), rounded to the type.
  TestWeights(ggml_type type, int64_t n_in, int64_t n_out, std::mt19937& rng);

  // A leaf of the arena's graph over these bytes.
  ggml_tensor* tensor(GraphArena& arena);
  ggml_type type() const { return type_; }
  int64_t n_in() const { return n_in_; }
  int64_t n_out() const { return n_out_; }
  const float* row(int64_t i) const { return values_.data() + n_in_ * i; }

 private:
  ggml_type type_;
  int64_t n_in_;
  int64_t n_out_;
  size_t row_bytes_;
  std::vector<std::byte> bytes_;
  std::vector<float> values_;  // [n_in, n_out]
};

// A leaf over values, [n] F32; null where there are none.
ggml_tensor* vector_leaf(GraphArena& arena, std::vector<float>& values);

// Who computes: both round activations to what the weight's type multiplies with, each in a way of
// its own.
enum class Computer : uint8_t { kOurs, kGgml };

BoundedValues exact(std::span<const float> x);
BoundedValues product(const TestWeights& w, const BoundedValues& x, Computer computer);
BoundedValues normed(const BoundedValues& x, std::span<const float> weight, float eps);
BoundedValues sum(const BoundedValues& a, const BoundedValues& b);
BoundedValues gated(Activation activation, const BoundedValues& gate, const BoundedValues& up,
                    Computer computer);

// Fails the test where got is further from want than it may.
void expect_within(std::span<const float> got, const BoundedValues& want);

}  // namespace reprise
