#pragma once

#include <cstdint>

namespace reprise {

// Attention among the few rows of one action chunk, one head: softmax(scale Q K^T) V. Row t sees
// rows 0 to t if it is causal, else all.
struct ChunkHead {
  const float* q = nullptr;  // n_rows rows of n_embd_head values, `row` values apart; k and v too
  const float* k = nullptr;
  const float* v = nullptr;
  int64_t row = 0;
  int64_t n_rows = 0;
  int64_t n_embd_head = 0;
  float scale = 1;
  bool is_causal = true;
  float* out = nullptr;  // n_rows rows of n_embd_head values, out_row apart
  int64_t out_row = 0;
};

// Values of scratch that chunk_attention() needs.
int64_t chunk_attention_scratch(int64_t n_rows, int64_t n_embd_head);
void chunk_attention(const ChunkHead& head, float* scratch);

// Cross attention to a few memory rows with its projections folded into them: head j's logit of
// memory row s is x . key + bias with key = scale Wq_j^T k_sj, and the projected result is the
// probabilities' sum of value = Wo_j v_sj. Columns are s * n_head + j. The first memory row's
// columns (that of the timestep) and those of the observations stand apart.
struct FoldedMemory {
  const float* keys = nullptr;    // [n_embd][n_columns]
  const float* biases = nullptr;  // [n_columns]
  const float* values = nullptr;  // [n_columns][n_embd]
  int64_t n_rows = 0;             // memory rows
};
struct FoldedAttention {
  int64_t n_embd = 0;
  int64_t n_head = 0;
  bool is_causal = true;  // row t sees observation j only if t >= j; else all
  FoldedMemory time;      // one row
  FoldedMemory observations;
  const float* bias = nullptr;  // [n_embd] of the output projection
  const float* x = nullptr;     // [n_rows][n_embd], normed; from the chunk's first row on
  int64_t n_rows = 0;
  float* out = nullptr;  // [n_rows][n_embd]
};

int64_t folded_attention_scratch(int64_t n_embd, int64_t n_head, int64_t n_memory, int64_t n_rows);
void folded_attention(const FoldedAttention& attention, float* scratch);

}  // namespace reprise
