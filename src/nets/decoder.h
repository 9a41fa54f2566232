#pragma once

#include "core/attention_node.h"
#include "core/backend.h"
#include "core/feed_forward_node.h"
#include "core/token_attention_node.h"
#include "nets/decoder_model.h"

// The decoder as a kit of parts, causal or not: who sees whom is the caller's to say. Each function
// adds nodes to a ggml graph and returns one; nothing is computed here. Sources: LLaMA (arXiv
// 2302.13971), Qwen2 (2407.10671), Qwen3 (2505.09388), Gemma 3 (2503.19786), LLaDA (2502.09992),
// Dream (2508.15487).
namespace reprise {

// The tokens of one pass.
struct DecoderBatch {
  ggml_tensor* pos = nullptr;  // [n_tokens] I32
};

// Queries, keys and values of one layer as the weights give them, biases added.
struct DecoderProducts {
  ggml_tensor* q = nullptr;  // [n_embd_head * n_head, n_tokens] F32
  ggml_tensor* k = nullptr;  // [n_embd_head * n_head_kv, n_tokens] F32
  ggml_tensor* v = nullptr;  // like k
};

// The same after the heads' norms and RoPE.
struct DecoderQkv {
  ggml_tensor* q = nullptr;  // [n_embd_head, n_head, n_tokens] F32
  ggml_tensor* k = nullptr;  // [n_embd_head, n_head_kv, n_tokens] F32
  ggml_tensor* v = nullptr;  // [n_embd_head, n_head_kv, n_tokens] F32
};

// Held entries of one layer that the queries attend to. Order and position of entries do not matter
// here: the span alone says who may see whom.
struct KvView {
  ggml_tensor* k = nullptr;  // [n_embd_head, n_kv, n_head_kv]
  ggml_tensor* v = nullptr;  // like k
  CausalSpan span;
};

// [n_embd, n_tokens] F32 from tokens [n_tokens] I32.
ggml_tensor* decoder_embed(GraphArena& arena, const DecoderModel& model, ggml_tensor* tokens);

// From x [n_embd, n_tokens] F32, the residual stream in front of layer il.
DecoderProducts decoder_products(GraphArena& arena, const DecoderModel& model, int32_t il,
                                 ggml_tensor* x);

DecoderQkv decoder_qkv(GraphArena& arena, const DecoderModel& model, int32_t il,
                       const DecoderProducts& products, const DecoderBatch& batch);

// Attention of q [n_embd_head, n_head, n_tokens] F32 over the view's entries.
AttentionNode decoder_attention(GraphArena& arena, const DecoderModel& model, ggml_tensor* q,
                                const KvView& kv, AttentionExtra extra = AttentionExtra::kNone);

// How RoPE turns heads at one position, in the layers that see everything and in the others.
struct DecoderTurns {
  RopeTable full;
  RopeTable swa;
};
DecoderTurns decoder_turns(GraphArena& arena, const DecoderModel& model, ggml_tensor* pos);

// For a single token: decoder_qkv, the storing of its entry in the last row of the view, and
// decoder_attention, in one node.
AttentionNode decoder_token_attention(GraphArena& arena, const DecoderModel& model, int32_t il,
                                      const DecoderProducts& products, const DecoderTurns& turns,
                                      const KvView& kv, AttentionExtra extra);

// The rest of layer il after its attention: output projection, residuals, feed-forward. x as in
// decoder_products, attention from decoder_attention. Returns the next residual stream [n_embd,
// n_tokens] F32; in place for several tokens alone.
ggml_tensor* decoder_layer_rest(GraphArena& arena, const DecoderModel& model, int32_t il,
                                ggml_tensor* x, ggml_tensor* attention,
                                NextStream next = NextStream::kNew);

// Logits [n_vocab, n_tokens] F32 from the last residual stream.
ggml_tensor* decoder_head(GraphArena& arena, const DecoderModel& model, ggml_tensor* x);

}  // namespace reprise
