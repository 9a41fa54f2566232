#pragma once

#include <array>
#include <span>

#include "core/backend.h"
#include "core/token_matmul_node.h"

namespace reprise {

// W x as nodes of a graph, for every W that reads the same x: w [n_in, n_out] of any weight type, x
// [n_in, n_tokens] F32, contiguous; y [n_out, n_tokens] F32. Which kernel computes it depends on
// the number of tokens:
// - one: token_matmul_node, all of w in one node;
// - several: core/prompt_matmul_node;
// and ggml's own product where the arena has no kernels.
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

// RMS norm of every column of x [n, n_tokens], times weight [n]; all F32.
ggml_tensor* norm_node(GraphArena& arena, ggml_tensor* x, ggml_tensor* weight, float eps);

// W norm(x) + bias for every W, a null bias being none; otherwise like matmul_nodes.
template <size_t n>
std::array<ggml_tensor*, n> norm_matmul_nodes(GraphArena& arena,
                                              const std::array<ggml_tensor*, n>& w,
                                              const std::array<ggml_tensor*, n>& bias,
                                              ggml_tensor* x, ggml_tensor* norm, float eps) {
  std::array<ggml_tensor*, n> y;
  if (x->ne[1] == 1 && arena.has_kernels()) {
    token_matmul_node(arena, {x, norm, eps, w, bias}, y);
    return y;
  }
  y = matmul_nodes(arena, w, norm_node(arena, x, norm, eps));
  for (size_t i = 0; i < n; ++i)
    if (bias[i] != nullptr) y[i] = ggml_add(arena.ctx(), y[i], bias[i]);
  return y;
}

}  // namespace reprise
