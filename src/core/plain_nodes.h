#pragma once

#include <span>

#include "core/attention_node.h"

namespace reprise {

// What matmul_node.h and attention_node.h promise, out of ggml's own operations: for devices that
// cannot run our kernels inside a graph.

void plain_matmul_nodes(GraphArena& arena, std::span<ggml_tensor* const> w, ggml_tensor* x,
                        std::span<ggml_tensor*> y);

// ggml's flash attention, which leaves neither probabilities nor the lse behind. Here k and v may
// have more rows than the span has entries; what those hold must be finite, and is not seen.
AttentionNode plain_attention_node(GraphArena& arena, const AttentionInputs& inputs);

// The number of entries, in rows of k and v, that ggml's CUDA kernels want to be a factor of their
// number.
inline constexpr int32_t kPlainKvUnit = 256;

}  // namespace reprise
