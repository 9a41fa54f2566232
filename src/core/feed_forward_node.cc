#include "core/feed_forward_node.h"

#include <algorithm>
#include <array>
#include <cassert>

#include "core/kernels/token_vectors.h"
#include "core/matmul_node.h"
#include "core/row_cursor.h"
#include "core/token_product.h"
#include "core/token_rows.h"

namespace reprise {
namespace {

// Kept beside the graph; the node's tensor holds [next stream | stream behind the attention |
// result of the network | activations | scratch of each thread].
struct TokenWork {
  FeedForward layer;
  OpTrace* trace;
  int64_t middle;  // where each starts, in values
  int64_t result;
  int64_t active;
  int64_t scratch;
  int64_t scratch_size;
  std::array<RowCursor, 3> rows;  // of the three stages
  std::array<ThreadBarrier, 3> barriers;

  void restart() {
    for (RowCursor& cursor : rows) cursor.restart();
    for (ThreadBarrier& barrier : barriers) barrier.restart();
  }
};

// out = x + norm(y): the residual of a branch with a norm behind it.
void add_normed(const float* x, const float* y, const ggml_tensor* norm, float eps, float* out) {
  const int64_t n = norm->ne[0];
  rms_norm(y, f32_values(norm), eps, n, out);
  for (int64_t i = 0; i < n; ++i) out[i] += x[i];
}

// f(first, n) for ranges of n_rows rows.
template <class F>
void for_ranges(RowCursor& rows, int64_t n_rows, int nth, F&& f) {
  for (RowRange range; (range = rows.take(n_rows, nth)).n > 0;) f(range.first, range.n);
}

void run_token(ggml_tensor* dst, int ith, int nth, void* work_pointer) {
  auto* work = static_cast<TokenWork*>(work_pointer);
  OpTimer timer(work->trace, ith, "feed forward");
  const FeedForward& layer = work->layer;
  const int64_t n_embd = layer.norm->ne[0];
  const int64_t n_ff = layer.gate->ne[1];
  const float* x = f32_values(dst->src[0]);
  auto* next = static_cast<float*>(dst->data);
  float* middle = next + work->middle;
  float* result = next + work->result;
  float* active = next + work->active;
  float* own = next + work->scratch + work->scratch_size * ith;  // stream behind the attention
  float* normed = own + aligned_values(n_embd);
  float* gates = normed + aligned_values(n_embd);
  float* ups = gates + RowCursor::kMost;
  auto* rounded = reinterpret_cast<std::byte*>(ups + RowCursor::kMost);

  TokenInput attention(f32_values(dst->src[1]), layer.wo->ne[0], rounded);
  for_ranges(work->rows[0], n_embd, nth, [&](int64_t first, int64_t n) {
    attention.multiply(layer.wo, first, n, middle + first);
    add_rows(layer.bo, first, n, middle + first);
    if (layer.post_attn == nullptr) add_rows(dst->src[0], first, n, middle + first);
  });
  timer.wait(work->barriers[0], nth);
  const float* stream = middle;
  if (layer.post_attn != nullptr) {
    add_normed(x, middle, layer.post_attn, layer.eps, own);
    stream = own;
  }

  rms_norm(stream, f32_values(layer.norm), layer.eps, n_embd, normed);
  TokenInput input(normed, n_embd, rounded);
  for_ranges(work->rows[1], n_ff, nth, [&](int64_t first, int64_t n) {
    input.multiply(layer.gate, first, n, gates);
    input.multiply(layer.up, first, n, ups);
    const auto gated = layer.activation == Activation::kSilu ? swiglu : geglu;
    gated(gates, ups, n, active + first);
  });
  timer.wait(work->barriers[1], nth);

  prefetch_next_nodes(dst, work);
  TokenInput activations(active, n_ff, rounded);
  float* out = layer.post_ffn == nullptr ? next : result;
  for_ranges(work->rows[2], n_embd, nth, [&](int64_t first, int64_t n) {
    activations.multiply(layer.down, first, n, out + first);
    if (layer.post_ffn != nullptr) return;
    for (int64_t r = first; r < first + n; ++r) out[r] += stream[r];
  });
  if (layer.post_ffn == nullptr) return;
  timer.wait(work->barriers[2], nth);
  if (ith == 0) add_normed(stream, result, layer.post_ffn, layer.eps, next);
}

ggml_tensor* token_node(GraphArena& arena, const FeedForward& layer, ggml_tensor* x,
                        ggml_tensor* attention) {
  const int64_t n_embd = layer.norm->ne[0];
  for (const ggml_tensor* w : {layer.wo, layer.gate, layer.up, layer.down})
    arena.note_product(ProductLog::Phase::kDecode, token_kernel_name(w->type), *w);
  auto* work = arena.keep_restartable<TokenWork>();
  work->layer = layer;
  work->trace = arena.trace();
  work->middle = aligned_values(n_embd);
  work->result = work->middle + aligned_values(n_embd);
  work->active = work->result + aligned_values(n_embd);
  work->scratch = work->active + aligned_values(layer.gate->ne[1]);
  const size_t rounded = std::max({TokenInput::scratch_bytes(std::array{layer.wo}),
                                   TokenInput::scratch_bytes(std::array{layer.gate, layer.up}),
                                   TokenInput::scratch_bytes(std::array{layer.down})});
  work->scratch_size = 2 * aligned_values(n_embd) + 2 * RowCursor::kMost +
                       aligned_values(static_cast<int64_t>(rounded / sizeof(float)) + 1);
  std::array sources{x, attention};
  ggml_tensor* node = ggml_custom_4d(
      arena.ctx(), GGML_TYPE_F32, work->scratch + work->scratch_size * arena.n_threads(), 1, 1, 1,
      sources.data(), static_cast<int>(sources.size()), run_token, GGML_N_TASKS_MAX, work);
  return ggml_view_2d(arena.ctx(), node, n_embd, 1, n_embd * sizeof(float), 0);
}

}  // namespace

ggml_tensor* feed_forward_nodes(GraphArena& arena, const FeedForward& layer, ggml_tensor* x,
                                ggml_tensor* attention, NextStream next) {
  if (x->ne[1] == 1 && arena.has_kernels()) {
    assert(next == NextStream::kNew);
    return token_node(arena, layer, x, attention);
  }
  ggml_context* ctx = arena.ctx();
  const auto add_to = [&](ggml_tensor* stream, ggml_tensor* branch) {
    return next == NextStream::kInPlace ? ggml_add_inplace(ctx, stream, branch)
                                        : ggml_add(ctx, branch, stream);
  };
  ggml_tensor* h = matmul_node(arena, layer.wo, attention);
  if (layer.bo != nullptr) h = ggml_add(ctx, h, layer.bo);
  if (layer.post_attn != nullptr) h = norm_node(arena, h, layer.post_attn, layer.eps);
  x = add_to(x, h);
  h = norm_node(arena, x, layer.norm, layer.eps);
  const auto [gate, up] = matmul_nodes(arena, std::array{layer.gate, layer.up}, h);
  h = layer.activation == Activation::kSilu ? ggml_swiglu_split(ctx, gate, up)
                                            : ggml_geglu_split(ctx, gate, up);
  h = matmul_node(arena, layer.down, h);
  if (layer.post_ffn != nullptr) h = norm_node(arena, h, layer.post_ffn, layer.eps);
  return add_to(x, h);
}

}  // namespace reprise
