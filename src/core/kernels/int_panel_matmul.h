#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "ggml.h"

namespace reprise {

// 32 activations as ggml rounds them for its own products (Q8_0 and Q8_1), but for the scale, which
// stays F32: x = scale * q with q in -127..127. A value that is infinite or NaN makes the scale
// NaN.
struct RoundedBlock {
  static constexpr int32_t kValues = 32;
  std::array<int8_t, kValues> q;
  float scale;
  float sum;      // scale times the sum of q
  int32_t q_sum;  // the sum of q
};

// y = W x for many tokens with the integers of the file and activations rounded to 8 bits: a panel
// of W's rows at a time is put into the order of integer dot products in the cache of one core and
// used for all tokens. The integers of a block of 32 are exact and so are their sums of products;
// scales are applied, and blocks added up, in F32.
struct IntPanelMatmul {
  ggml_type type = GGML_TYPE_Q8_0;  // one with has_int_panel_matmul()
  const std::byte* w = nullptr;     // n_out rows of n_in values, row_bytes apart
  size_t row_bytes = 0;
  int64_t n_in = 0;  // a multiple of 32
  int64_t n_out = 0;
  int64_t n_tokens = 0;
  const RoundedBlock* x = nullptr;  // [n_in / 32, n_tokens]
  float* y = nullptr;               // [n_out, n_tokens]
};

// Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 and IQ4_NL, and the K-quants with blocks of 32 values, Q4_K and
// Q5_K.
bool has_int_panel_matmul(ggml_type type);
// Parts that threads may take in any order.
int64_t int_panel_matmul_parts(int64_t n_out);
// Values of scratch that one thread needs.
int64_t int_panel_matmul_scratch();

// Rounds x[n]; n is a multiple of 32.
void round_activations(const float* x, int64_t n, RoundedBlock* rounded);
void int_panel_matmul_part(const IntPanelMatmul& m, int64_t i_part, float* scratch);

}  // namespace reprise
