#pragma once

#include "core/backend.h"
#include "core/kernels/attention.h"

namespace reprise {

// Attention over a KV cache as one node of a graph, computed by kernels/decode_attention (a single
// token) and kernels/prefill_attention (more of them, or where the lse is wanted). Where the arena
// has no kernels, plain_nodes.h takes their place, and there are no extras.
struct AttentionInputs {
  ggml_tensor* q = nullptr;  // [n_embd_head, n_head, n_tokens] F32, contiguous
  ggml_tensor* k = nullptr;  // [n_embd_head, n_kv, n_head_kv], rows contiguous; any cache type
  ggml_tensor* v = nullptr;  // like k
  CausalSpan span;           // of the entries in k and v
  float scale = 1;           // of the logits
};

enum class AttentionExtra : uint8_t {
  kNone,
  kProbs,  // of a single token
  kLse,
};

struct AttentionNode {
  ggml_tensor* out = nullptr;    // [n_embd_head * n_head, n_tokens] F32
  ggml_tensor* probs = nullptr;  // [n_kv, 1, n_head] F32, where asked for
  // [n_threads] once computed: seconds that each thread spent on them; null where nobody measures.
  const double* probs_s = nullptr;
  ggml_tensor* lse = nullptr;  // [n_head, n_tokens] F32: log of the sum of exp(logits), likewise
};

AttentionNode attention_node(GraphArena& arena, const AttentionInputs& inputs,
                             AttentionExtra extra);

// What the kernels take from tensors shaped as in AttentionInputs, once they have their data.
AttentionShape attention_shape(const ggml_tensor* q, const ggml_tensor* k, float scale);
KvRows kv_rows(const ggml_tensor* rows);
// Writes n values as one row of a cache of that type.
void store_kv_row(ggml_type type, const float* values, int64_t n, std::byte* row);

}  // namespace reprise
