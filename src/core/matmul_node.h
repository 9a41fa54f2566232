#pragma once

#include <array>
#include <span>

#include "core/backend.h"

namespace reprise {

// W x as nodes of a graph, for every W that reads the same x: w [n_in, n_out] of any weight type, x
// [n_in, n_tokens] F32, contiguous; y [n_out, n_tokens] F32. Which kernel computes it depends on
// the number of tokens:
// - one: ggml's dot products, all of `w` that round x alike in one node without a barrier inside;
// - several: core/prompt_matmul_node.
void matmul_nodes(GraphArena& arena, std::span<ggml_tensor* const> w, ggml_tensor* x,
                  std::span<ggml_tensor*> y);

template <size_t n>
std::array<ggml_tensor*, n> matmul_nodes(GraphArena& arena, const std::array<ggml_tensor*, n>& w,
                                         ggml_tensor* x) {
  std::array<ggml_tensor*, n> y;
  matmul_nodes(arena, w, x, y);
  return y;
}

inline ggml_tensor* matmul_node(GraphArena& arena, ggml_tensor* w, ggml_tensor* x) {
  return matmul_nodes(arena, std::array{w}, x)[0];
}

}  // namespace reprise
