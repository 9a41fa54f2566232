#include "core/matmul_node.h"

#include <algorithm>
#include <cassert>

#include "core/kernels/panel_matmul.h"
#include "core/plain_nodes.h"
#include "core/token_rows.h"
#include "core/work_parts.h"

namespace reprise {
namespace {

// Tokens from which converting the weights costs less than it saves (docs/performance.md).
constexpr int64_t kMinTokens = 32;

// ggml multiplies K-quants with many tokens in integer kernels that are 1.5 to 2 times as fast as
// F32
// (`reprise bench kernels`); the other types it takes row by row.
bool is_faster_in_panels(ggml_type type) {
  switch (type) {
    case GGML_TYPE_Q2_K:
    case GGML_TYPE_Q3_K:
    case GGML_TYPE_Q4_K:
    case GGML_TYPE_Q5_K:
    case GGML_TYPE_Q6_K:
      return false;
    default:
      return has_panel_matmul(type);
  }
}

// The node's tensor holds [y | scratch of each thread]; this stands beside the graph.
struct MatmulWork {
  OpTrace* trace;
  int64_t scratch;  // where it starts, in values
  int64_t scratch_size;
  WorkParts parts;

  float* scratch_of(const ggml_tensor* node, int ith) const {
    return static_cast<float*>(node->data) + scratch + scratch_size * ith;
  }
};

void run_panels(ggml_tensor* dst, int ith, int /*nth*/, void* work_pointer) {
  auto* work = static_cast<MatmulWork*>(work_pointer);
  const OpTimer timer(work->trace, ith, "prompt products");
  const ggml_tensor* x = dst->src[0];
  const ggml_tensor* w = dst->src[1];
  PanelMatmul m;
  m.type = w->type;
  m.w = static_cast<const std::byte*>(w->data);
  m.row_bytes = w->nb[1];
  m.n_in = w->ne[0];
  m.n_out = w->ne[1];
  m.n_tokens = x->ne[1];
  m.x = static_cast<const float*>(x->data);
  m.y = static_cast<float*>(dst->data);
  const int64_t n_parts = panel_matmul_parts(m.n_out);
  for (int64_t i; (i = work->parts.take()) < n_parts;)
    panel_matmul_part(m, i, work->scratch_of(dst, ith));
}

ggml_tensor* panels_node(GraphArena& arena, ggml_tensor* w, ggml_tensor* x) {
  const int64_t n_y = w->ne[1] * x->ne[1];
  auto* work = arena.keep<MatmulWork>();
  work->trace = arena.trace();
  work->scratch = aligned_values(n_y);
  work->scratch_size = aligned_values(panel_matmul_scratch());
  std::array sources{x, w};
  ggml_tensor* node = ggml_custom_4d(
      arena.ctx(), GGML_TYPE_F32, work->scratch + work->scratch_size * arena.n_threads(), 1, 1, 1,
      sources.data(), static_cast<int>(sources.size()), run_panels, GGML_N_TASKS_MAX, work);
  return ggml_view_2d(arena.ctx(), node, w->ne[1], x->ne[1], w->ne[1] * sizeof(float), 0);
}

}  // namespace

void matmul_nodes(GraphArena& arena, std::span<ggml_tensor* const> w, ggml_tensor* x,
                  std::span<ggml_tensor*> y) {
  assert(w.size() == y.size() && w.size() < GGML_MAX_SRC && ggml_is_contiguous(x));
  if (!arena.has_kernels()) return plain_matmul_nodes(arena, w, x, y);
  const int64_t n_tokens = x->ne[1];
  if (n_tokens == 1) {
    token_matmul_node(arena, {x, nullptr, 0, w, {}}, y);
    return;
  }
  for (size_t k = 0; k < w.size(); ++k) {
    const bool expands = arena.weight_use() == WeightUse::kExpand && n_tokens >= kMinTokens &&
                         is_faster_in_panels(w[k]->type);
    y[k] = expands ? panels_node(arena, w[k], x) : ggml_mul_mat(arena.ctx(), w[k], x);
  }
}

ggml_tensor* norm_node(GraphArena& arena, ggml_tensor* x, ggml_tensor* weight, float eps) {
  return ggml_mul(arena.ctx(), ggml_rms_norm(arena.ctx(), x, eps), weight);
}

}  // namespace reprise
