#include "core/ragged_attention_node.h"

#include <algorithm>
#include <array>
#include <cassert>

#include "core/attention_node.h"
#include "core/kernels/prefill_attention.h"
#include "core/token_rows.h"
#include "core/work_parts.h"

namespace reprise {
namespace {

// One sequence, its entries read through the CPU's pointers.
struct Rows {
  int32_t first_row;
  int32_t n_rows;
  int32_t first_slot;
  int32_t n_kv;
  KvRows k;
  KvRows v;
};

// Kept beside the graph. The attention's tensor holds [out | scratch of each thread].
struct RaggedWork {
  OpTrace* trace;
  AttentionShape shape;
  const Rows* sequences;
  int32_t n_sequences;
  int32_t n_rows;
  int64_t scratch;  // where it starts, in values
  int64_t scratch_size;
  WorkParts stores;
  WorkParts parts;
};

// The cache is the caller's to write; attention's view of it is not.
std::byte* writable_row(const KvRows& rows, int32_t g, int32_t slot) {
  return const_cast<std::byte*>(rows.data) + rows.head_bytes * g + rows.row_bytes * slot;
}

void run_store(ggml_tensor* dst, int ith, int /*nth*/, void* work_pointer) {
  auto* work = static_cast<RaggedWork*>(work_pointer);
  const OpTimer timer(work->trace, ith, "store entries");
  constexpr int32_t kPart = 8;  // rows
  const float* k = f32_values(dst->src[0]);
  const float* v = f32_values(dst->src[1]);
  const int64_t n = work->shape.n_embd_head;
  for (int32_t first; (first = work->stores.take() * kPart) < work->n_rows;) {
    const int32_t end = std::min(first + kPart, work->n_rows);
    const Rows* s = work->sequences;
    for (int32_t row = first; row < end; ++row) {
      while (row >= s->first_row + s->n_rows) ++s;
      const int32_t slot = s->first_slot + row - s->first_row;
      for (int32_t g = 0; g < work->shape.n_head_kv; ++g) {
        const int64_t at = (int64_t{row} * work->shape.n_head_kv + g) * n;
        store_kv_row(work->shape.type, k + at, n, writable_row(s->k, g, slot));
        store_kv_row(work->shape.type, v + at, n, writable_row(s->v, g, slot));
      }
    }
  }
}

void run_attention(ggml_tensor* dst, int ith, int /*nth*/, void* work_pointer) {
  auto* work = static_cast<RaggedWork*>(work_pointer);
  const OpTimer timer(work->trace, ith, "ragged attention");
  auto* data = static_cast<float*>(dst->data);
  float* scratch = data + work->scratch + work->scratch_size * ith;
  const int64_t row_size = int64_t{work->shape.n_embd_head} * work->shape.n_head;
  const int32_t n_head_kv = work->shape.n_head_kv;
  int32_t i = work->parts.take();
  int32_t n_before = 0;
  for (int32_t s = 0; s < work->n_sequences; ++s) {
    const Rows& rows = work->sequences[s];
    PrefillAttention a;
    a.shape = work->shape;
    a.k = rows.k;
    a.v = rows.v;
    a.span = {rows.n_kv - rows.n_rows, rows.n_rows, 0, false};
    a.q = f32_values(dst->src[0]) + row_size * rows.first_row;
    a.out = data + row_size * rows.first_row;
    const int32_t n_parts = a.n_parts() * n_head_kv;
    for (; i < n_before + n_parts; i = work->parts.take()) {
      const int32_t part = i - n_before;
      prefill_attention_part(a, part % n_head_kv, part / n_head_kv, scratch);
    }
    n_before += n_parts;
  }
}

ggml_tensor* with_kernels(GraphArena& arena, std::span<const RaggedSequence> sequences,
                          ggml_tensor* q, ggml_tensor* k, ggml_tensor* v, float scale) {
  assert(sequences.size() <= kMaxRaggedSequences);
  auto* rows = arena.keep<Rows>(sequences.size());
  int32_t n_rows = 0;
  for (size_t i = 0; i < sequences.size(); ++i) {
    const RaggedSequence& s = sequences[i];
    rows[i] = {n_rows, s.n_rows, s.first_slot, s.n_kv, s.block->k_rows(), s.block->v_rows()};
    n_rows += s.n_rows;
  }
  const KvShape& shape = sequences[0].block->shape();
  auto* work = arena.keep<RaggedWork>();
  work->trace = arena.trace();
  work->shape = {shape.n_embd_head, static_cast<int32_t>(q->ne[1]), shape.n_head_kv, shape.type,
                 scale};
  work->sequences = rows;
  work->n_sequences = static_cast<int32_t>(sequences.size());
  work->n_rows = n_rows;
  const int64_t n_out = q->ne[0] * q->ne[1];
  work->scratch = aligned_values(n_out * n_rows);
  work->scratch_size = aligned_values(prefill_attention_scratch(work->shape));
  std::array entries{k, v};
  ggml_tensor* stored =
      ggml_custom_4d(arena.ctx(), GGML_TYPE_F32, 1, 1, 1, 1, entries.data(),
                     static_cast<int>(entries.size()), run_store, GGML_N_TASKS_MAX, work);
  std::array sources{q, stored};  // after the store
  ggml_tensor* node = ggml_custom_4d(
      arena.ctx(), GGML_TYPE_F32, work->scratch + work->scratch_size * arena.n_threads(), 1, 1, 1,
      sources.data(), static_cast<int>(sources.size()), run_attention, GGML_N_TASKS_MAX, work);
  return ggml_view_2d(arena.ctx(), node, n_out, n_rows, n_out * sizeof(float), 0);
}

ggml_tensor* rows_of(ggml_context* ctx, ggml_tensor* t, int32_t first, int32_t n) {
  return ggml_view_3d(ctx, t, t->ne[0], t->ne[1], n, t->nb[1], t->nb[2], t->nb[2] * first);
}

ggml_tensor* without_kernels(GraphArena& arena, std::span<const RaggedSequence> sequences,
                             ggml_tensor* q, ggml_tensor* k, ggml_tensor* v, float scale) {
  ggml_context* ctx = arena.ctx();
  ggml_tensor* out = nullptr;
  int32_t first = 0;
  for (const RaggedSequence& s : sequences) {
    s.block->put(arena, s.first_slot, rows_of(ctx, k, first, s.n_rows),
                 rows_of(ctx, v, first, s.n_rows));
    const int32_t unit = s.block->unit();
    const int32_t n_shown = (s.n_kv + unit - 1) / unit * unit;
    const AttentionInputs inputs{rows_of(ctx, q, first, s.n_rows),
                                 s.block->k(arena, 0, n_shown),
                                 s.block->v(arena, 0, n_shown),
                                 {s.n_kv - s.n_rows, s.n_rows, 0, false},
                                 scale};
    ggml_tensor* part = attention_node(arena, inputs, AttentionExtra::kNone).out;
    out = out == nullptr ? part : ggml_concat(ctx, out, part, 1);
    first += s.n_rows;
  }
  return out;
}

}  // namespace

ggml_tensor* ragged_attention_nodes(GraphArena& arena, std::span<const RaggedSequence> sequences,
                                    ggml_tensor* q, ggml_tensor* k, ggml_tensor* v, float scale) {
  assert(!sequences.empty() && ggml_is_contiguous(q) && ggml_is_contiguous(k) &&
         ggml_is_contiguous(v));
  return arena.has_kernels() ? with_kernels(arena, sequences, q, k, v, scale)
                             : without_kernels(arena, sequences, q, k, v, scale);
}

}  // namespace reprise
