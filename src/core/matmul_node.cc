#include "core/matmul_node.h"

#include <cassert>

#include "core/plain_nodes.h"
#include "core/prompt_matmul_node.h"

namespace reprise {

void matmul_nodes(GraphArena& arena, std::span<ggml_tensor* const> w, ggml_tensor* x,
                  std::span<ggml_tensor*> y) {
  assert(w.size() == y.size() && w.size() < GGML_MAX_SRC && ggml_is_contiguous(x));
  if (!arena.has_kernels()) return plain_matmul_nodes(arena, w, x, y);
  if (x->ne[1] == 1) return token_matmul_node(arena, {x, nullptr, 0, w, {}}, y);
  prompt_matmul_nodes(arena, w, x, y);
}

ggml_tensor* norm_node(GraphArena& arena, ggml_tensor* x, ggml_tensor* weight, float eps) {
  return ggml_mul(arena.ctx(), ggml_rms_norm(arena.ctx(), x, eps), weight);
}

}  // namespace reprise
