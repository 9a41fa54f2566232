#include "core/prompt_matmul_node.h"

#include <algorithm>
#include <cassert>

#include "core/kernels/int_panel_matmul.h"
#include "core/kernels/panel_matmul.h"
#include "core/repacked_weights.h"
#include "core/token_rows.h"
#include "core/work_parts.h"

namespace reprise {
namespace {

// Tokens from which converting the weights to F32 costs less than it saves (docs/performance.md);
// of F16 ggml has a product that is slower than F32 arithmetic by a third only.
constexpr int64_t kMinF32Tokens = 32;
constexpr int64_t kMinF32TokensOfF16 = 256;
constexpr int64_t kRoundedTokens = 4;  // that a thread rounds at a time

// ggml multiplies K-quants with many tokens in integer kernels that are 1.5 to 2 times as fast as
// F32; the other types it takes row by row (docs/performance.md).
bool is_faster_in_f32(ggml_type type) {
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

// Whether ggml, too, rounds the activations for this type in blocks of 32; for others it takes 256.
bool is_rounded_alike(ggml_type type) { return ggml_blck_size(type) == RoundedBlock::kValues; }

// A node's tensor holds [y | scratch of each thread]; this stands beside the graph.
struct PromptWork {
  OpTrace* trace;
  int64_t scratch;  // where it starts, in values
  int64_t scratch_size;
  WorkParts parts;

  float* scratch_of(const ggml_tensor* node, int ith) const {
    return static_cast<float*>(node->data) + scratch + scratch_size * ith;
  }
};

void run_f32_panels(ggml_tensor* dst, int ith, int /*nth*/, void* work_pointer) {
  auto* work = static_cast<PromptWork*>(work_pointer);
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

void run_int_panels(ggml_tensor* dst, int ith, int /*nth*/, void* work_pointer) {
  auto* work = static_cast<PromptWork*>(work_pointer);
  const OpTimer timer(work->trace, ith, "prompt products");
  const ggml_tensor* rounded = dst->src[0];
  const ggml_tensor* w = dst->src[1];
  IntPanelMatmul m;
  m.type = w->type;
  m.w = static_cast<const std::byte*>(w->data);
  m.row_bytes = w->nb[1];
  m.n_in = w->ne[0];
  m.n_out = w->ne[1];
  m.n_tokens = rounded->ne[1];
  m.x = static_cast<const RoundedBlock*>(rounded->data);
  m.y = static_cast<float*>(dst->data);
  const int64_t n_parts = int_panel_matmul_parts(m.n_out);
  for (int64_t i; (i = work->parts.take()) < n_parts;)
    int_panel_matmul_part(m, i, work->scratch_of(dst, ith));
}

void run_rounding(ggml_tensor* dst, int ith, int /*nth*/, void* work_pointer) {
  auto* work = static_cast<PromptWork*>(work_pointer);
  const OpTimer timer(work->trace, ith, "rounding");
  const ggml_tensor* x = dst->src[0];
  const int64_t n_in = x->ne[0];
  const auto* from = static_cast<const float*>(x->data);
  auto* to = static_cast<RoundedBlock*>(dst->data);
  for (int64_t t; (t = work->parts.take() * kRoundedTokens) < x->ne[1];) {
    round_activations(from + t * n_in, std::min(kRoundedTokens, x->ne[1] - t) * n_in,
                      to + t * (n_in / RoundedBlock::kValues));
  }
}

// [n_in / 32 rounded blocks, n_tokens]
ggml_tensor* add_rounding_node(GraphArena& arena, ggml_tensor* x) {
  constexpr int64_t kBlockValues = sizeof(RoundedBlock) / sizeof(float);
  auto* work = arena.keep<PromptWork>();
  work->trace = arena.trace();
  return ggml_custom_4d(arena.ctx(), GGML_TYPE_F32, x->ne[0] / RoundedBlock::kValues * kBlockValues,
                        x->ne[1], 1, 1, &x, 1, run_rounding, GGML_N_TASKS_MAX, work);
}

ggml_tensor* add_product_node(GraphArena& arena, ggml_tensor* w, ggml_tensor* x,
                              int64_t scratch_size, ggml_custom_op_t run) {
  auto* work = arena.keep<PromptWork>();
  work->trace = arena.trace();
  const int64_t n_out = w->ne[1];
  const int64_t n_tokens = x->ne[1];
  work->scratch = aligned_values(n_out * n_tokens);
  work->scratch_size = aligned_values(scratch_size);
  ggml_tensor* sources[] = {x, w};
  ggml_tensor* node = ggml_custom_4d(arena.ctx(), GGML_TYPE_F32,
                                     work->scratch + work->scratch_size * arena.n_threads(), 1, 1,
                                     1, sources, 2, run, GGML_N_TASKS_MAX, work);
  return ggml_view_2d(arena.ctx(), node, n_out, n_tokens, n_out * sizeof(float), 0);
}

// `rounded` is made of x by the first product that needs it.
ggml_tensor* add_product(GraphArena& arena, PromptKernel kernel, ggml_tensor* w, ggml_tensor* x,
                         ggml_tensor*& rounded) {
  arena.note_product(ProductLog::Phase::kPrompt, prompt_kernel_name(kernel), *w);
  switch (kernel) {
    case PromptKernel::kIntPanels:
      assert(has_int_panel_matmul(w->type));
      if (rounded == nullptr) rounded = add_rounding_node(arena, x);
      return add_product_node(arena, w, rounded, int_panel_matmul_scratch(), run_int_panels);
    case PromptKernel::kF32Panels:
      assert(has_panel_matmul(w->type));
      return add_product_node(arena, w, x, panel_matmul_scratch(), run_f32_panels);
    case PromptKernel::kGgml:
      break;
  }
  return ggml_mul_mat(arena.ctx(), w, x);
}

}  // namespace

std::string_view prompt_kernel_name(PromptKernel kernel) {
  switch (kernel) {
    case PromptKernel::kIntPanels:
      return "integer panels";
    case PromptKernel::kF32Panels:
      return "F32 panels";
    case PromptKernel::kGgml:
      break;
  }
  return kGgmlProduct;
}

PromptKernel prompt_kernel(WeightUse use, ggml_type type, int64_t n_tokens) {
  assert(n_tokens >= 2);
  const bool has_integers =
      has_int_panel_matmul(type) && (use == WeightUse::kAuto || is_rounded_alike(type));
  if (use != WeightUse::kExpand && has_integers) return PromptKernel::kIntPanels;
  const int64_t n_min = type == GGML_TYPE_F16 ? kMinF32TokensOfF16 : kMinF32Tokens;
  return use != WeightUse::kAsIs && n_tokens >= n_min && is_faster_in_f32(type)
             ? PromptKernel::kF32Panels
             : PromptKernel::kGgml;
}

PromptKernel prompt_kernel(WeightUse use, const ggml_tensor& w, int64_t n_tokens) {
  return is_repacked(&w) ? PromptKernel::kGgml : prompt_kernel(use, w.type, n_tokens);
}

void prompt_matmul_nodes(GraphArena& arena, std::span<ggml_tensor* const> w, ggml_tensor* x,
                         std::span<ggml_tensor*> y) {
  assert(w.size() == y.size() && ggml_is_contiguous(x));
  ggml_tensor* rounded = nullptr;
  for (size_t k = 0; k < w.size(); ++k) {
    y[k] = add_product(arena, prompt_kernel(arena.weight_use(), *w[k], x->ne[1]), w[k], x, rounded);
  }
}

ggml_tensor* prompt_matmul_node(GraphArena& arena, PromptKernel kernel, ggml_tensor* w,
                                ggml_tensor* x) {
  ggml_tensor* rounded = nullptr;
  return add_product(arena, kernel, w, x, rounded);
}

}  // namespace reprise
