#pragma once

#include <span>

#include "core/kv_block.h"

namespace reprise {

// Sequences that one pass may compute rows of.
inline constexpr size_t kMaxRaggedSequences = 128;

// Rows of one sequence in a pass that computes rows of several: they are its entries [first_slot,
// first_slot + n_rows), and see all of its n_kv entries, those behind them included.
struct RaggedSequence {
  KvBlock* block = nullptr;  // of this layer
  int32_t n_rows = 0;
  int32_t first_slot = 0;
  int32_t n_kv = 0;
};

// Attention that is not causal, of the rows of all sequences, which stand one sequence after the
// other: stores k and v [n_embd_head, n_head_kv, n_rows] F32 over the entries of their slots, then
// attends from q [n_embd_head, n_head, n_rows] F32. All are contiguous; every sequence has rows,
// and all blocks have one shape. Returns [n_embd_head * n_head, n_rows] F32. With kernels
// these are two nodes, however many sequences there are; without, a few for each of them.
ggml_tensor* ragged_attention_nodes(GraphArena& arena, std::span<const RaggedSequence> sequences,
                                    ggml_tensor* q, ggml_tensor* k, ggml_tensor* v, float scale);

}  // namespace reprise
