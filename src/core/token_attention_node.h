#pragma once

#include "core/attention_node.h"
#include "core/backend.h"
#include "core/rope_node.h"

namespace reprise {

// The new token's entry, which a pass has just computed and nobody has stored yet.
struct NewEntry {
  ggml_tensor* k = nullptr;       // [n_embd_head * n_head_kv] F32, before norm and RoPE; null: the
  ggml_tensor* v = nullptr;       // entry is stored, and q is ready
  ggml_tensor* q_norm = nullptr;  // [n_embd_head] F32: weight of an RMS norm per head, or null
  ggml_tensor* k_norm = nullptr;  // likewise
  float eps = 0;                  // of both
  RopeTable rope;
};

struct TokenAttention {
  AttentionInputs attention;  // of a single token; with a new entry q is as k: before norm and RoPE
  NewEntry entry;             // belongs into the last row of the attention's k and v
};

// Attention of a single token as one node without a barrier inside. Norms and rotates the queries,
// and norms, rotates, rounds and stores the new entry, where there is one: each part for what it
// reads. Extra: kNone or kProbs.
AttentionNode token_attention_node(GraphArena& arena, const TokenAttention& token,
                                   AttentionExtra extra);

}  // namespace reprise
