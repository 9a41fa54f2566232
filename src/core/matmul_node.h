#pragma once

#include "core/backend.h"

namespace reprise {

// W x as a node of a graph: w [n_in, n_out] of any weight type, x [n_in, n_tokens] F32, contiguous;
// returns [n_out, n_tokens] F32. With WeightUse::kExpand and enough tokens to pay for the
// conversion it is kernels/panel_matmul, otherwise ggml's own product.
ggml_tensor* matmul_node(GraphArena& arena, ggml_tensor* w, ggml_tensor* x);

}  // namespace reprise
