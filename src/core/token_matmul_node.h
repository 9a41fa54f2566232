#pragma once

#include <span>

#include "core/backend.h"

namespace reprise {

// Products of one token with all weights that read it, as one node without a barrier inside:
// every thread norms and rounds x for itself.
struct TokenProducts {
  ggml_tensor* x = nullptr;            // [n_in] F32
  ggml_tensor* norm = nullptr;         // [n_in] F32: weight of an RMS norm in front; null: none
  float eps = 0;                       // of the norm
  std::span<ggml_tensor* const> w;     // [n_in, n_out] each, any weight type; three at most
  std::span<ggml_tensor* const> bias;  // [n_out] F32 each or null; empty: none at all
};

// y: [n_out] F32 each, in the order of w.
void token_matmul_node(GraphArena& arena, const TokenProducts& products, std::span<ggml_tensor*> y);

}  // namespace reprise
