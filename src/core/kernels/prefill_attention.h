#pragma once

#include <cstdint>

#include "core/kernels/attention.h"

namespace reprise {

// Attention of all tokens of a pass, in parts that threads may take in any order: some rows (a
// row: one query head of one token) of one KV head over all they see, tile by tile with a running
// max and sum in F32, tiles that no row sees left out. As FlashAttention-2 (Dao, arXiv 2307.08691,
// algorithm 1).
struct PrefillAttention {
  AttentionShape shape;
  KvRows k;
  KvRows v;
  CausalSpan span;
  const float* q = nullptr;  // [n_embd_head, n_head, n_tokens]
  float* out = nullptr;      // [n_embd_head, n_head, n_tokens]
  float* lse = nullptr;      // [n_head, n_tokens]: log of the sum of exp(logits); may be null

  int32_t n_parts() const {  // of one KV head
    const int64_t n_rows = static_cast<int64_t>(shape.n_group()) * span.n_tokens;
    return static_cast<int32_t>((n_rows + kQueryBlockRows - 1) / kQueryBlockRows);
  }
};

// Values of scratch that one thread needs.
int64_t prefill_attention_scratch(const AttentionShape& shape);

// Computes part i_part of KV head g.
void prefill_attention_part(const PrefillAttention& a, int32_t g, int32_t i_part, float* scratch);

}  // namespace reprise
