#include "core/matmul_node.h"

#include <algorithm>
#include <cassert>

#include "core/prompt_matmul_node.h"
#include "core/work_parts.h"
#include "ggml-cpu.h"

namespace reprise {
namespace {

constexpr int64_t kPartRows = 64;  // of W, for a single token
constexpr int64_t kAlign = 16;     // values: scratch starts at a cache line

int64_t aligned(int64_t n) { return (n + kAlign - 1) / kAlign * kAlign; }

// The node's tensor holds [y | scratch of each thread]; this stands beside the graph.
struct MatmulWork {
  int64_t scratch;  // where it starts, in values
  int64_t scratch_size;
  WorkParts parts;

  float* scratch_of(const ggml_tensor* node, int ith) const {
    return static_cast<float*>(node->data) + scratch + scratch_size * ith;
  }
};

// The results of the weights, which are the sources behind x, follow each other.
void run_rows(ggml_tensor* dst, int ith, int /*nth*/, void* work_pointer) {
  auto* work = static_cast<MatmulWork*>(work_pointer);
  const ggml_tensor* x = dst->src[0];
  const ggml_type rounded_type = ggml_get_type_traits_cpu(dst->src[1]->type)->vec_dot_type;
  const void* rounded = x->data;
  if (rounded_type != GGML_TYPE_F32) {
    // Every thread rounds x for itself: that costs less than waiting for another.
    void* scratch = work->scratch_of(dst, ith);
    ggml_get_type_traits_cpu(rounded_type)
        ->from_float(static_cast<const float*>(x->data), scratch, x->ne[0]);
    rounded = scratch;
  }
  while (true) {
    int64_t i_part = work->parts.take();
    auto* y = static_cast<float*>(dst->data);
    int32_t k = 1;
    for (; k < GGML_MAX_SRC && dst->src[k] != nullptr; ++k) {
      const int64_t n_parts = (dst->src[k]->ne[1] + kPartRows - 1) / kPartRows;
      if (i_part < n_parts) break;
      i_part -= n_parts;
      y += dst->src[k]->ne[1];
    }
    if (k == GGML_MAX_SRC || dst->src[k] == nullptr) return;
    const ggml_tensor* w = dst->src[k];
    const ggml_vec_dot_t dot = ggml_get_type_traits_cpu(w->type)->vec_dot;
    const int64_t end = std::min((i_part + 1) * kPartRows, w->ne[1]);
    for (int64_t r = i_part * kPartRows; r < end; ++r) {
      dot(static_cast<int>(w->ne[0]), y + r, 0,
          static_cast<const std::byte*>(w->data) + w->nb[1] * r, 0, rounded, 0, 1);
    }
  }
}

// A node over x and some weights with n_y values of result.
ggml_tensor* add_node(GraphArena& arena, ggml_tensor* x, std::span<ggml_tensor* const> w,
                      int64_t n_y, int64_t scratch_size, ggml_custom_op_t run) {
  auto* work = arena.keep<MatmulWork>();
  work->scratch = aligned(n_y);
  work->scratch_size = aligned(scratch_size);
  ggml_tensor* sources[GGML_MAX_SRC] = {x};
  std::ranges::copy(w, sources + 1);
  return ggml_custom_4d(arena.ctx(), GGML_TYPE_F32,
                        work->scratch + work->scratch_size * arena.n_threads(), 1, 1, 1, sources,
                        static_cast<int>(w.size()) + 1, run, GGML_N_TASKS_MAX, work);
}

ggml_tensor* view_result(GraphArena& arena, ggml_tensor* node, int64_t n_out, int64_t n_tokens,
                         int64_t first) {
  return ggml_view_2d(arena.ctx(), node, n_out, n_tokens, n_out * sizeof(float),
                      first * sizeof(float));
}

ggml_type rounded_type_of(const ggml_tensor* w) {
  return ggml_get_type_traits_cpu(w->type)->vec_dot_type;
}

// All of w for one token.
void add_rows_node(GraphArena& arena, std::span<ggml_tensor* const> w, ggml_tensor* x,
                   std::span<ggml_tensor*> y) {
  int64_t n_y = 0;
  for (const ggml_tensor* t : w) n_y += t->ne[1];
  const size_t n_bytes = ggml_row_size(rounded_type_of(w[0]), x->ne[0]);
  ggml_tensor* node =
      add_node(arena, x, w, n_y, static_cast<int64_t>(n_bytes / sizeof(float)) + 1, run_rows);
  int64_t first = 0;
  for (size_t k = 0; k < w.size(); ++k) {
    y[k] = view_result(arena, node, w[k]->ne[1], 1, first);
    first += w[k]->ne[1];
  }
}

}  // namespace

void matmul_nodes(GraphArena& arena, std::span<ggml_tensor* const> w, ggml_tensor* x,
                  std::span<ggml_tensor*> y) {
  assert(w.size() == y.size() && w.size() < GGML_MAX_SRC && ggml_is_contiguous(x));
  if (x->ne[1] > 1) return prompt_matmul_nodes(arena, w, x, y);
  size_t first = 0;
  while (first < w.size()) {  // neighbours that want x rounded alike share a node
    size_t end = first + 1;
    while (end < w.size() && rounded_type_of(w[end]) == rounded_type_of(w[first])) ++end;
    add_rows_node(arena, w.subspan(first, end - first), x, y.subspan(first, end - first));
    first = end;
  }
}

}  // namespace reprise
