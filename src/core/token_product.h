#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/kernels/token_matvec.h"
#include "ggml.h"

namespace reprise {

// What multiplies one token with weights of a type.
std::string_view token_kernel_name(ggml_type weight_type);

// One token's activations, rounded for each kind of product when it is first asked for. Every
// thread has its own: rounding again costs less than waiting for another.
class TokenInput {
 public:
  // Bytes that `scratch` needs for products of x with all of w.
  static size_t scratch_bytes(std::span<const ggml_tensor* const> w);

  // x: [n_in]; scratch: aligned to 16 bytes. Both outlive this.
  TokenInput(const float* x, int64_t n_in, std::byte* scratch)
      : x_(x), n_in_(n_in), scratch_(scratch) {}

  // y[0 .. n) = rows [first, first + n) of W x: by kernels/token_matvec for the types that it has,
  // by ggml's dot product of one row for the others.
  void multiply(const ggml_tensor* w, int64_t first, int64_t n, float* y);

 private:
  struct Rounded {
    bool is_ours = false;
    ggml_type type = GGML_TYPE_F32;  // ggml's, where it is not ours
    RoundedToken token;
    const void* data = nullptr;
  };
  const Rounded& rounded_for(ggml_type weight_type);

  const float* x_;
  int64_t n_in_;
  std::byte* scratch_;
  std::array<Rounded, 3> rounded_;
  size_t n_rounded_ = 0;
};

}  // namespace reprise
