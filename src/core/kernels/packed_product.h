#pragma once

#include <cstddef>
#include <cstdint>

#include "ggml.h"

namespace reprise {

// Weights in the order in which a product of few rows reads them, the same for every SIMD target:
// panels of kPackedWidth output values, a panel's values by input and then by output. A panel of
// Q8_0 holds for every 32 inputs first the scales (F16) of its outputs and then its integers.
inline constexpr int64_t kPackedWidth = 32;

// Weights are finite; a NaN in x shows in its row of y.
struct PackedWeights {
  ggml_type type = GGML_TYPE_F32;  // F32, F16 or Q8_0
  int64_t n_in = 0;
  int64_t n_out = 0;
  const std::byte* panels = nullptr;  // packed_bytes() of them, aligned to 64

  int64_t n_panels() const { return (n_out + kPackedWidth - 1) / kPackedWidth; }
};

// n_in is a multiple of 32 for Q8_0.
size_t packed_bytes(ggml_type type, int64_t n_in, int64_t n_out);
// rows: n_out rows of n_in values in ggml's layout of the type, one after the other. The last
// panel's missing outputs become zeros.
void pack_weights(ggml_type type, int64_t n_in, int64_t n_out, const std::byte* rows,
                  std::byte* panels);

enum class PackedResult : uint8_t {
  kPlain,
  kGelu,  // gelu() of it, kernels/gelu.h
};

// y = x W^T + bias. Every value is summed over the inputs in their order, beginning with the bias,
// so that no row's bits depend on the other rows.
struct PackedProduct {
  PackedWeights w;
  const float* bias = nullptr;  // [n_out], or null for none
  const float* x = nullptr;     // n_rows rows of n_in values, x_row values apart
  int64_t x_row = 0;
  int64_t n_rows = 0;
  float* y = nullptr;  // n_rows rows of n_out values, y_row values apart
  int64_t y_row = 0;
  PackedResult result = PackedResult::kPlain;
};

void packed_product(const PackedProduct& product);

}  // namespace reprise
