#include "core/token_attention_node.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cassert>

#include "core/kernels/decode_attention.h"
#include "core/kernels/token_vectors.h"
#include "core/part_ranges.h"
#include "core/stopwatch.h"
#include "core/token_rows.h"

namespace reprise {
namespace {

// Kept beside the graph; the node's tensor holds [out | logits, later probabilities | sums | one
// token's heads for each thread].
struct TokenWork {
  float scale;
  double* probs_s;  // [n_threads] seconds for probabilities; null: nobody wants them
  NewEntry entry;
  OpTrace* trace;
  int64_t heads;  // where they start, in values
  int64_t heads_size;
  PartRanges parts;
  int32_t n_head_kv;
  std::atomic<int32_t>* n_done;  // [n_head_kv] parts of each KV head

  void restart() {
    parts.restart();
    for (int32_t g = 0; g < n_head_kv; ++g) n_done[g].store(0, std::memory_order_relaxed);
  }
};

// A head as attention sees it, from a head as the products left it.
void norm_and_rotate(const NewEntry& entry, const ggml_tensor* norm, const float* from, int64_t n,
                     float* to) {
  if (norm == nullptr) {
    std::copy_n(from, n, to);
  } else {
    rms_norm(from, f32_values(norm), entry.eps, n, to);
  }
  rotate_head(entry.rope, to);
}

// Stores KV head g of the new entry. `head` is scratch of one head.
void store_entry(const NewEntry& entry, const DecodeAttention& a, int32_t g, float* head) {
  const int64_t n = a.shape.n_embd_head;
  const auto last = [&](const KvRows& rows) {
    // The cache is the caller's to write; attention's view of it is not.
    return const_cast<std::byte*>(rows.data) + rows.head_bytes * g + rows.row_bytes * (a.n_kv - 1);
  };
  norm_and_rotate(entry, entry.k_norm, f32_values(entry.k) + n * g, n, head);
  store_kv_row(a.shape.type, head, n, last(a.k));
  store_kv_row(a.shape.type, f32_values(entry.v) + n * g, n, last(a.v));
}

void run(ggml_tensor* dst, int ith, int /*nth*/, void* work_pointer) {
  auto* work = static_cast<TokenWork*>(work_pointer);
  const OpTimer timer(work->trace, ith, "token attention");
  prefetch_next_nodes(dst, work);
  DecodeAttention a;
  a.shape = attention_shape(dst->src[0], dst->src[1], work->scale);
  a.k = kv_rows(dst->src[1]);
  a.v = kv_rows(dst->src[2]);
  a.n_kv = static_cast<int32_t>(dst->src[1]->ne[1]);
  a.q = f32_values(dst->src[0]);
  a.out = static_cast<float*>(dst->data);
  a.logits = a.out + static_cast<int64_t>(a.shape.n_embd_head) * a.shape.n_head;
  a.sums = a.logits + static_cast<int64_t>(a.n_kv) * a.shape.n_head;
  const bool has_entry = work->entry.k != nullptr;
  const float* raw = a.q;
  float* heads = a.out + work->heads + work->heads_size * ith;
  if (has_entry) a.q = heads;
  const int64_t n_embd_head = a.shape.n_embd_head;
  const int64_t n_group = a.shape.n_group();
  float* one_head = heads + n_embd_head * a.shape.n_head;
  const int32_t n_parts = a.n_parts();
  double probs_s = 0;
  int32_t g_ready = -1;  // KV head whose queries are in `heads`
  const int32_t n_all_parts = n_parts * a.shape.n_head_kv;
  for (int32_t i; (i = work->parts.take(ith, n_all_parts)) < n_all_parts;) {
    const int32_t g = i / n_parts;
    const int32_t i_part = i % n_parts;
    if (has_entry && g != g_ready) {
      for (int64_t h = g * n_group; h < (g + 1) * n_group; ++h) {
        norm_and_rotate(work->entry, work->entry.q_norm, raw + h * n_embd_head, n_embd_head,
                        heads + h * n_embd_head);
      }
      g_ready = g;
    }
    // The part that reads the new entry stores it.
    if (has_entry && i_part == n_parts - 1) store_entry(work->entry, a, g, one_head);
    decode_attention_part(a, g, i_part);
    // Whoever does the last part of a head sees what all others have written.
    if (work->n_done[g].fetch_add(1, std::memory_order_acq_rel) + 1 < n_parts) continue;
    decode_attention_merge(a, g);
    if (work->probs_s == nullptr) continue;
    const Stopwatch stopwatch;
    decode_attention_probs(a, g);
    probs_s += stopwatch.seconds();
  }
  if (work->probs_s != nullptr) work->probs_s[ith] = probs_s;
}

}  // namespace

AttentionNode token_attention_node(GraphArena& arena, const TokenAttention& token,
                                   AttentionExtra extra) {
  const AttentionInputs& in = token.attention;
  assert(in.span.n_tokens == 1 && extra != AttentionExtra::kLse);
  const AttentionShape shape = attention_shape(in.q, in.k, in.scale);
  auto* work = arena.keep_restartable<TokenWork>();
  work->scale = in.scale;
  const bool wants_probs = extra == AttentionExtra::kProbs;
  work->probs_s = wants_probs ? arena.keep<double>(arena.n_threads()) : nullptr;
  work->entry = token.entry;
  work->trace = arena.trace();
  work->parts = {arena.keep<PartRanges::Cursor>(arena.n_threads()), arena.n_threads()};
  work->n_head_kv = shape.n_head_kv;
  work->n_done = arena.keep<std::atomic<int32_t>>(shape.n_head_kv);
  const int64_t n_kv = in.k->ne[1];
  const int64_t n_out = static_cast<int64_t>(shape.n_embd_head) * shape.n_head;
  work->heads = aligned_values(n_out + n_kv * shape.n_head +
                               decode_sums_size(shape, static_cast<int32_t>(n_kv)));
  work->heads_size = aligned_values(n_out + shape.n_embd_head);
  std::array<ggml_tensor*, 6> sources = {in.q, in.k, in.v};
  int n_sources = 3;
  if (token.entry.k != nullptr) {
    sources[3] = token.entry.k;
    sources[4] = token.entry.v;
    sources[5] = token.entry.rope.values;
    n_sources = 6;
  }
  ggml_tensor* node =
      ggml_custom_4d(arena.ctx(), GGML_TYPE_F32, work->heads + work->heads_size * arena.n_threads(),
                     1, 1, 1, sources.data(), n_sources, run, GGML_N_TASKS_MAX, work);
  AttentionNode out;
  out.out = ggml_view_2d(arena.ctx(), node, n_out, 1, n_out * sizeof(float), 0);
  if (wants_probs) {
    out.probs_s = work->probs_s;
    const size_t row = n_kv * sizeof(float);
    out.probs =
        ggml_view_3d(arena.ctx(), node, n_kv, 1, shape.n_head, row, row, n_out * sizeof(float));
  }
  return out;
}

}  // namespace reprise
