#include "core/attention_node.h"

#include <cassert>

#include "core/kernels/decode_attention.h"
#include "core/kernels/prefill_attention.h"
#include "core/work_parts.h"

namespace reprise {
namespace {

constexpr int64_t kAlign = 16;  // values: scratch starts at a cache line

int64_t aligned(int64_t n) { return (n + kAlign - 1) / kAlign * kAlign; }

// Kept beside the graph; the node's tensor holds [out | extra | scratch].
struct DecodeWork {
  float scale;
  bool wants_probs;
  WorkParts parts;
  std::atomic<int32_t>* n_done;  // [n_head_kv] parts of each KV head
};

struct PrefillWork {
  float scale;
  CausalSpan span;
  int64_t lse;      // where it starts, in values
  int64_t scratch;  // likewise
  int64_t scratch_size;
  bool wants_lse;
  WorkParts parts;
};

void run_decode(ggml_tensor* dst, int /*ith*/, int /*nth*/, void* work_pointer) {
  auto* work = static_cast<DecodeWork*>(work_pointer);
  DecodeAttention a;
  a.shape = attention_shape(dst->src[0], dst->src[1], work->scale);
  a.k = kv_rows(dst->src[1]);
  a.v = kv_rows(dst->src[2]);
  a.n_kv = static_cast<int32_t>(dst->src[1]->ne[1]);
  a.q = static_cast<const float*>(dst->src[0]->data);
  a.out = static_cast<float*>(dst->data);
  a.logits = a.out + static_cast<int64_t>(a.shape.n_embd_head) * a.shape.n_head;
  a.sums = a.logits + static_cast<int64_t>(a.n_kv) * a.shape.n_head;
  const int32_t n_parts = a.n_parts();
  for (int32_t i; (i = work->parts.take()) < n_parts * a.shape.n_head_kv;) {
    const int32_t g = i / n_parts;
    decode_attention_part(a, g, i % n_parts);
    // Whoever does the last part of a head sees what all others have written.
    if (work->n_done[g].fetch_add(1, std::memory_order_acq_rel) + 1 < n_parts) continue;
    decode_attention_merge(a, g);
    if (work->wants_probs) decode_attention_probs(a, g);
  }
}

void run_prefill(ggml_tensor* dst, int ith, int /*nth*/, void* work_pointer) {
  auto* work = static_cast<PrefillWork*>(work_pointer);
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

ggml_tensor* add_node(GraphArena& arena, const AttentionInputs& in, int64_t n_values,
                      ggml_custom_op_t run, void* work) {
  ggml_tensor* sources[] = {in.q, in.k, in.v};
  return ggml_custom_4d(arena.ctx(), GGML_TYPE_F32, n_values, 1, 1, 1, sources, 3, run,
                        GGML_N_TASKS_MAX, work);
}

AttentionNode decode_node(GraphArena& arena, const AttentionInputs& in, AttentionExtra extra) {
  const AttentionShape shape = attention_shape(in.q, in.k, in.scale);
  auto* work = arena.keep<DecodeWork>();
  work->scale = in.scale;
  work->wants_probs = extra == AttentionExtra::kProbs;
  work->n_done = arena.keep<std::atomic<int32_t>>(shape.n_head_kv);
  const int64_t n_kv = in.k->ne[1];
  const int64_t n_out = static_cast<int64_t>(shape.n_embd_head) * shape.n_head;
  ggml_tensor* node = add_node(
      arena, in, n_out + n_kv * shape.n_head + decode_sums_size(shape, static_cast<int32_t>(n_kv)),
      run_decode, work);
  AttentionNode out;
  out.out = ggml_view_2d(arena.ctx(), node, n_out, 1, n_out * sizeof(float), 0);
  if (work->wants_probs) {
    const size_t row = n_kv * sizeof(float);
    out.probs =
        ggml_view_3d(arena.ctx(), node, n_kv, 1, shape.n_head, row, row, n_out * sizeof(float));
  }
  return out;
}

AttentionNode prefill_node(GraphArena& arena, const AttentionInputs& in, AttentionExtra extra) {
  const AttentionShape shape = attention_shape(in.q, in.k, in.scale);
  const int64_t n_tokens = in.span.n_tokens;
  const int64_t n_out = static_cast<int64_t>(shape.n_embd_head) * shape.n_head;
  auto* work = arena.keep<PrefillWork>();
  work->scale = in.scale;
  work->span = in.span;
  work->wants_lse = extra == AttentionExtra::kLse;
  work->lse = n_out * n_tokens;
  work->scratch = aligned(work->lse + (work->wants_lse ? shape.n_head * n_tokens : 0));
  work->scratch_size = aligned(prefill_attention_scratch(shape));
  ggml_tensor* node = add_node(arena, in, work->scratch + work->scratch_size * arena.n_threads(),
                               run_prefill, work);
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
  assert(ggml_is_contiguous(inputs.q) && inputs.k->ne[1] == inputs.span.n_kv());
  assert(inputs.q->ne[2] == inputs.span.n_tokens);
  if (inputs.span.n_tokens == 1 && extra != AttentionExtra::kLse)
    return decode_node(arena, inputs, extra);
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

}  // namespace reprise
