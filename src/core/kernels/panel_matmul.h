#pragma once

#include <cstddef>
#include <cstdint>

#include "ggml.h"

namespace reprise {

// y = W x for many tokens, in F32: a panel of W's rows at a time is turned into F32 in the cache of
// one core and used for all tokens, so that a weight of any type costs its conversion once and then
// F32 arithmetic, and no expanded copy of the model is held. Nothing but the weights is rounded:
// ggml's own product rounds x to 8 bits.
struct PanelMatmul {
  ggml_type type = GGML_TYPE_F32;  // any that ggml can turn into F32
  const std::byte* w = nullptr;    // n_out rows of n_in values, row_bytes apart
  size_t row_bytes = 0;
  int64_t n_in = 0;
  int64_t n_out = 0;
  int64_t n_tokens = 0;
  const float* x = nullptr;  // [n_in, n_tokens]
  float* y = nullptr;        // [n_out, n_tokens]
};

// Whether the type can be turned into F32.
bool has_panel_matmul(ggml_type type);
// Parts that threads may take in any order.
int64_t panel_matmul_parts(int64_t n_out);
// Values of scratch that one thread needs.
int64_t panel_matmul_scratch();

void panel_matmul_part(const PanelMatmul& m, int64_t i_part, float* scratch);

}  // namespace reprise
