#include "core/matmul_node.h"

#include "core/kernels/panel_matmul.h"
#include "core/work_parts.h"

namespace reprise {
namespace {

// Tokens from which converting the weights costs less than it saves (docs/performance.md).
constexpr int64_t kMinTokens = 32;
constexpr int64_t kAlign = 16;  // values: scratch starts at a cache line

int64_t aligned(int64_t n) { return (n + kAlign - 1) / kAlign * kAlign; }

// Kept beside the graph; the node's tensor holds [y | scratch of each thread].
struct MatmulWork {
  int64_t scratch;  // where it starts, in values
  int64_t scratch_size;
  WorkParts parts;
};

void run(ggml_tensor* dst, int ith, int /*nth*/, void* work_pointer) {
  auto* work = static_cast<MatmulWork*>(work_pointer);
  const ggml_tensor* w = dst->src[0];
  const ggml_tensor* x = dst->src[1];
  PanelMatmul m;
  m.type = w->type;
  m.w = static_cast<const std::byte*>(w->data);
  m.row_bytes = w->nb[1];
  m.n_in = w->ne[0];
  m.n_out = w->ne[1];
  m.n_tokens = x->ne[1];
  m.x = static_cast<const float*>(x->data);
  m.y = static_cast<float*>(dst->data);
  float* scratch = m.y + work->scratch + work->scratch_size * ith;
  const int64_t n_parts = panel_matmul_parts(m.n_out);
  for (int64_t i; (i = work->parts.take()) < n_parts;) panel_matmul_part(m, i, scratch);
}

}  // namespace

ggml_tensor* matmul_node(GraphArena& arena, ggml_tensor* w, ggml_tensor* x) {
  ggml_context* ctx = arena.ctx();
  const int64_t n_tokens = x->ne[1];
  if (arena.weight_use() == WeightUse::kAsIs || n_tokens < kMinTokens ||
      !has_panel_matmul(w->type) || !ggml_is_contiguous(x)) {
    return ggml_mul_mat(ctx, w, x);
  }
  const int64_t n_y = w->ne[1] * n_tokens;
  auto* work = arena.keep<MatmulWork>();
  work->scratch = aligned(n_y);
  work->scratch_size = aligned(panel_matmul_scratch());
  ggml_tensor* sources[] = {w, x};
  ggml_tensor* node =
      ggml_custom_4d(ctx, GGML_TYPE_F32, work->scratch + work->scratch_size * arena.n_threads(), 1,
                     1, 1, sources, 2, run, GGML_N_TASKS_MAX, work);
  return ggml_view_2d(ctx, node, w->ne[1], n_tokens, w->ne[1] * sizeof(float), 0);
}

}  // namespace reprise
