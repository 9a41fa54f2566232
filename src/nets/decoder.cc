#include "nets/decoder.h"

#include "core/matmul_node.h"

namespace reprise {
namespace {

ggml_tensor* norm(ggml_context* ctx, ggml_tensor* x, ggml_tensor* weight, float eps) {
  return ggml_mul(ctx, ggml_rms_norm(ctx, x, eps), weight);
}

ggml_tensor* add_bias(GraphArena& arena, ggml_tensor* y, ggml_tensor* bias) {
  return bias == nullptr ? y : ggml_add(arena.ctx(), y, bias);
}

// Per-head norm where the architecture has one, then RoPE. x: [n_embd_head, n heads, n_tokens].
ggml_tensor* norm_and_rope(ggml_context* ctx, const DecoderModel& model, int32_t il, ggml_tensor* x,
                           ggml_tensor* norm_weight, ggml_tensor* pos) {
  const DecoderHparams& hp = model.hparams();
  if (norm_weight != nullptr) x = norm(ctx, x, norm_weight, hp.rms_eps);
  const bool is_swa = hp.is_swa[il];
  constexpr float kBetaFast = 32;  // YaRN's published bounds
  constexpr float kBetaSlow = 1;
  return ggml_rope_ext(ctx, x, pos, model.layers()[il].rope_freqs, hp.n_rot, hp.rope_type,
                       hp.n_ctx_orig, is_swa ? hp.rope_freq_base_swa : hp.rope_freq_base,
                       is_swa ? 1.0F : hp.rope_freq_scale, hp.rope_ext_factor, hp.rope_attn_factor,
                       kBetaFast, kBetaSlow);
}

}  // namespace

ggml_tensor* decoder_embed(GraphArena& arena, const DecoderModel& model, ggml_tensor* tokens) {
  ggml_context* ctx = arena.ctx();
  ggml_tensor* x = ggml_get_rows(ctx, model.tok_embd(), tokens);
  const float scale = model.hparams().embd_scale;
  return scale == 1.0F ? x : ggml_scale(ctx, x, scale);
}

DecoderQkv decoder_qkv(GraphArena& arena, const DecoderModel& model, int32_t il, ggml_tensor* x,
                       const DecoderBatch& batch) {
  ggml_context* ctx = arena.ctx();
  const DecoderHparams& hp = model.hparams();
  const DecoderLayer& l = model.layers()[il];
  const int64_t n_tokens = x->ne[1];
  ggml_tensor* h = norm(ctx, x, l.attn_norm, hp.rms_eps);
  DecoderQkv out;
  const auto [q, k, v] = matmul_nodes(arena, std::array{l.wq, l.wk, l.wv}, h);
  out.q = ggml_reshape_3d(ctx, add_bias(arena, q, l.bq), hp.n_embd_head, hp.n_head, n_tokens);
  out.k = ggml_reshape_3d(ctx, add_bias(arena, k, l.bk), hp.n_embd_head, hp.n_head_kv, n_tokens);
  out.v = ggml_reshape_3d(ctx, add_bias(arena, v, l.bv), hp.n_embd_head, hp.n_head_kv, n_tokens);
  out.q = norm_and_rope(ctx, model, il, out.q, l.attn_q_norm, batch.pos);
  out.k = norm_and_rope(ctx, model, il, out.k, l.attn_k_norm, batch.pos);
  return out;
}

AttentionNode decoder_attention(GraphArena& arena, const DecoderModel& model, ggml_tensor* q,
                                const KvView& kv, AttentionExtra extra) {
  return attention_node(arena, {q, kv.k, kv.v, kv.span, model.hparams().attn_scale}, extra);
}

ggml_tensor* decoder_layer_rest(GraphArena& arena, const DecoderModel& model, int32_t il,
                                ggml_tensor* x, ggml_tensor* attention) {
  ggml_context* ctx = arena.ctx();
  const DecoderHparams& hp = model.hparams();
  const DecoderLayer& l = model.layers()[il];
  ggml_tensor* h = add_bias(arena, matmul_node(arena, l.wo, attention), l.bo);
  if (l.attn_post_norm != nullptr) h = norm(ctx, h, l.attn_post_norm, hp.rms_eps);
  x = ggml_add(ctx, h, x);
  h = norm(ctx, x, l.ffn_norm, hp.rms_eps);
  const auto [gate, up] = matmul_nodes(arena, std::array{l.ffn_gate, l.ffn_up}, h);
  h = hp.activation == Activation::kSilu ? ggml_swiglu_split(ctx, gate, up)
                                         : ggml_geglu_split(ctx, gate, up);
  h = matmul_node(arena, l.ffn_down, h);
  if (l.ffn_post_norm != nullptr) h = norm(ctx, h, l.ffn_post_norm, hp.rms_eps);
  return ggml_add(ctx, h, x);
}

ggml_tensor* decoder_head(GraphArena& arena, const DecoderModel& model, ggml_tensor* x) {
  ggml_context* ctx = arena.ctx();
  return matmul_node(arena, model.output(),
                     norm(ctx, x, model.output_norm(), model.hparams().rms_eps));
}

}  // namespace reprise
