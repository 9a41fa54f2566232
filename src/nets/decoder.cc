#include "nets/decoder.h"

#include "core/feed_forward_node.h"
#include "core/matmul_node.h"

namespace reprise {
namespace {

Rope layer_rope(const DecoderModel& model, int32_t il) {
  const DecoderHparams& hp = model.hparams();
  const bool is_swa = hp.is_swa[il];
  Rope rope;
  rope.n_rot = hp.n_rot;
  rope.type = hp.rope_type;
  rope.n_ctx_orig = hp.n_ctx_orig;
  rope.freq_base = is_swa ? hp.rope_freq_base_swa : hp.rope_freq_base;
  rope.freq_scale = is_swa ? 1.0F : hp.rope_freq_scale;
  rope.ext_factor = hp.rope_ext_factor;
  rope.attn_factor = hp.rope_attn_factor;
  rope.freqs = model.layers()[il].rope_freqs;
  return rope;
}

// Per-head norm where the architecture has one, then RoPE. x: [n_embd_head * n heads, n_tokens].
ggml_tensor* norm_and_rope(GraphArena& arena, const DecoderModel& model, int32_t il, ggml_tensor* x,
                           ggml_tensor* norm_weight, ggml_tensor* pos) {
  const DecoderHparams& hp = model.hparams();
  x = ggml_reshape_3d(arena.ctx(), x, hp.n_embd_head, x->ne[0] / hp.n_embd_head, x->ne[1]);
  if (norm_weight != nullptr) x = norm_node(arena, x, norm_weight, hp.rms_eps);
  return rope_node(arena, layer_rope(model, il), x, pos);
}

}  // namespace

ggml_tensor* decoder_embed(GraphArena& arena, const DecoderModel& model, ggml_tensor* tokens) {
  ggml_context* ctx = arena.ctx();
  ggml_tensor* x = ggml_get_rows(ctx, model.tok_embd(), tokens);
  const float scale = model.hparams().embd_scale;
  return scale == 1.0F ? x : ggml_scale(ctx, x, scale);
}

DecoderProducts decoder_products(GraphArena& arena, const DecoderModel& model, int32_t il,
                                 ggml_tensor* x) {
  const DecoderLayer& l = model.layer(il, x->ne[1]);
  const auto [q, k, v] =
      norm_matmul_nodes(arena, std::array{l.wq, l.wk, l.wv}, std::array{l.bq, l.bk, l.bv}, x,
                        l.attn_norm, model.hparams().rms_eps);
  return {q, k, v};
}

DecoderQkv decoder_qkv(GraphArena& arena, const DecoderModel& model, int32_t il,
                       const DecoderProducts& products, const DecoderBatch& batch) {
  const DecoderHparams& hp = model.hparams();
  const DecoderLayer& l = model.layers()[il];
  return {
      norm_and_rope(arena, model, il, products.q, l.attn_q_norm, batch.pos),
      norm_and_rope(arena, model, il, products.k, l.attn_k_norm, batch.pos),
      ggml_reshape_3d(arena.ctx(), products.v, hp.n_embd_head, hp.n_head_kv, products.v->ne[1])};
}

AttentionNode decoder_attention(GraphArena& arena, const DecoderModel& model, ggml_tensor* q,
                                const KvView& kv, AttentionExtra extra) {
  return attention_node(arena, {q, kv.k, kv.v, kv.span, model.hparams().attn_scale}, extra);
}

DecoderTurns decoder_turns(GraphArena& arena, const DecoderModel& model, ggml_tensor* pos) {
  const std::vector<bool>& is_swa = model.hparams().is_swa;
  DecoderTurns turns;
  for (int32_t il = 0; il < model.hparams().n_layer; ++il) {
    RopeTable& table = is_swa[il] ? turns.swa : turns.full;
    if (table.values == nullptr) table = rope_table_node(arena, layer_rope(model, il), pos);
  }
  return turns;
}

AttentionNode decoder_token_attention(GraphArena& arena, const DecoderModel& model, int32_t il,
                                      const DecoderProducts& products, const DecoderTurns& turns,
                                      const KvView& kv, AttentionExtra extra) {
  const DecoderHparams& hp = model.hparams();
  const DecoderLayer& l = model.layers()[il];
  ggml_tensor* q = ggml_reshape_3d(arena.ctx(), products.q, hp.n_embd_head, hp.n_head, 1);
  const NewEntry entry{products.k,    products.v, l.attn_q_norm,
                       l.attn_k_norm, hp.rms_eps, hp.is_swa[il] ? turns.swa : turns.full};
  return token_attention_node(arena, {{q, kv.k, kv.v, kv.span, hp.attn_scale}, entry}, extra);
}

ggml_tensor* decoder_layer_rest(GraphArena& arena, const DecoderModel& model, int32_t il,
                                ggml_tensor* x, ggml_tensor* attention, NextStream next) {
  const DecoderHparams& hp = model.hparams();
  const DecoderLayer& l = model.layer(il, x->ne[1]);
  return feed_forward_nodes(arena,
                            {l.wo, l.bo, l.attn_post_norm, l.ffn_norm, l.ffn_gate, l.ffn_up,
                             l.ffn_down, l.ffn_post_norm, hp.rms_eps, hp.activation},
                            x, attention, next);
}

ggml_tensor* decoder_head(GraphArena& arena, const DecoderModel& model, ggml_tensor* x) {
  return norm_matmul_nodes(arena, std::array{model.output()}, std::array<ggml_tensor*, 1>{nullptr},
                           x, model.output_norm(), model.hparams().rms_eps)[0];
}

}  // namespace reprise
