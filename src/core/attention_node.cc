#include "core/attention_node.h"

#include <array>
#include <cassert>
#include <cstring>

#include "core/kernels/prefill_attention.h"
#include "core/plain_nodes.h"
#include "core/token_attention_node.h"
#include "core/token_rows.h"
#include "core/work_parts.h"
#include "ggml-cpu.h"

namespace reprise {
namespace {

// Kept beside the graph; the node's tensor holds [out | lse | scratch of each thread].
struct PrefillWork {
  OpTrace* trace;
  float scale;
  CausalSpan span;
  int64_t lse;      // where it starts, in values
  int64_t scratch;  // likewise
  int64_t scratch_size;
  bool wants_lse;
  WorkParts parts;
};

void run_prefill(ggml_tensor* dst, int ith, int /*nth*/, void* work_pointer) {
  auto* work = static_cast<PrefillWork*>(work_pointer);
  const OpTimer timer(work->trace, ith, "prompt attention");
  auto* data = static_cast<float*>(dst->data);
  PrefillAttention a;
  a.shape = attention_shape(dst->src[0], dst->src[1], work->scale);
  a.k = kv_rows(dst->src[1]);
  a.v = kv_rows(dst->src[2]);
  a.span = work->span;
  a.q = static_cast<const float*>(dst->src[0]->data);
  a.out = data;
  if (work->wants_lse) a.lse = data + work->lse;
  float* scratch = data + work->scratch + work->scratch_size * ith;
  const int32_t n_parts = a.n_parts();
  for (int32_t i; (i = work->parts.take()) < n_parts * a.shape.n_head_kv;) {
    // Later tokens see more: the longest parts come first.
    prefill_attention_part(a, i % a.shape.n_head_kv, n_parts - 1 - i / a.shape.n_head_kv, scratch);
  }
}

AttentionNode prefill_node(GraphArena& arena, const AttentionInputs& in, AttentionExtra extra) {
  const AttentionShape shape = attention_shape(in.q, in.k, in.scale);
  const int64_t n_tokens = in.span.n_tokens;
  const int64_t n_out = static_cast<int64_t>(shape.n_embd_head) * shape.n_head;
  auto* work = arena.keep<PrefillWork>();
  work->trace = arena.trace();
  work->scale = in.scale;
  work->span = in.span;
  work->wants_lse = extra == AttentionExtra::kLse;
  work->lse = n_out * n_tokens;
  work->scratch = aligned_values(work->lse + (work->wants_lse ? shape.n_head * n_tokens : 0));
  work->scratch_size = aligned_values(prefill_attention_scratch(shape));
  std::array sources{in.q, in.k, in.v};
  ggml_tensor* node = ggml_custom_4d(
      arena.ctx(), GGML_TYPE_F32, work->scratch + work->scratch_size * arena.n_threads(), 1, 1, 1,
      sources.data(), static_cast<int>(sources.size()), run_prefill, GGML_N_TASKS_MAX, work);
  AttentionNode out;
  out.out = ggml_view_2d(arena.ctx(), node, n_out, n_tokens, n_out * sizeof(float), 0);
  if (work->wants_lse) {
    out.lse = ggml_view_2d(arena.ctx(), node, shape.n_head, n_tokens, shape.n_head * sizeof(float),
                           work->lse * sizeof(float));
  }
  return out;
}

}  // namespace

AttentionNode attention_node(GraphArena& arena, const AttentionInputs& inputs,
                             AttentionExtra extra) {
  if (!arena.has_kernels()) {
    assert(extra == AttentionExtra::kNone);
    return plain_attention_node(arena, inputs);
  }
  assert(ggml_is_contiguous(inputs.q) && inputs.k->ne[1] == inputs.span.n_kv());
  assert(inputs.q->ne[2] == inputs.span.n_tokens);
  if (inputs.span.n_tokens == 1 && extra != AttentionExtra::kLse)
    return token_attention_node(arena, {inputs, {}}, extra);
  assert(extra != AttentionExtra::kProbs);
  return prefill_node(arena, inputs, extra);
}

AttentionShape attention_shape(const ggml_tensor* q, const ggml_tensor* k, float scale) {
  return {static_cast<int32_t>(q->ne[0]), static_cast<int32_t>(q->ne[1]),
          static_cast<int32_t>(k->ne[2]), k->type, scale};
}

KvRows kv_rows(const ggml_tensor* rows) {
  return {static_cast<const std::byte*>(rows->data), rows->nb[1], rows->nb[2]};
}

void store_kv_row(ggml_type type, const float* values, int64_t n, std::byte* row) {
  if (type == GGML_TYPE_F32) {
    std::memcpy(row, values, sizeof(float) * n);
  } else {
    ggml_get_type_traits_cpu(type)->from_float(values, row, n);
  }
}

}  // namespace reprise
