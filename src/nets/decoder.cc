#include "nets/decoder.h"

namespace reprise {
namespace {

ggml_tensor* norm(ggml_context* ctx, ggml_tensor* x, ggml_tensor* weight, float eps) {
  return ggml_mul(ctx, ggml_rms_norm(ctx, x, eps), weight);
}

ggml_tensor* project(ggml_context* ctx, ggml_tensor* weight, ggml_tensor* bias, ggml_tensor* x) {
  ggml_tensor* y = ggml_mul_mat(ctx, weight, x);
  return bias == nullptr ? y : ggml_add(ctx, y, bias);
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

ggml_tensor* decoder_embed(ggml_context* ctx, const DecoderModel& model, ggml_tensor* tokens) {
  ggml_tensor* x = ggml_get_rows(ctx, model.tok_embd(), tokens);
  const float scale = model.hparams().embd_scale;
  return scale == 1.0F ? x : ggml_scale(ctx, x, scale);
}

DecoderQkv decoder_qkv(ggml_context* ctx, const DecoderModel& model, int32_t il, ggml_tensor* x,
                       const DecoderBatch& batch) {
  const DecoderHparams& hp = model.hparams();
  const DecoderLayer& l = model.layers()[il];
  const int64_t n_tokens = x->ne[1];
  ggml_tensor* h = norm(ctx, x, l.attn_norm, hp.rms_eps);
  DecoderQkv out;
  out.q = ggml_reshape_3d(ctx, project(ctx, l.wq, l.bq, h), hp.n_embd_head, hp.n_head, n_tokens);
  out.k = ggml_reshape_3d(ctx, project(ctx, l.wk, l.bk, h), hp.n_embd_head, hp.n_head_kv, n_tokens);
  out.v = ggml_reshape_3d(ctx, project(ctx, l.wv, l.bv, h), hp.n_embd_head, hp.n_head_kv, n_tokens);
  out.q = norm_and_rope(ctx, model, il, out.q, l.attn_q_norm, batch.pos);
  out.k = norm_and_rope(ctx, model, il, out.k, l.attn_k_norm, batch.pos);
  return out;
}

ggml_tensor* decoder_attention_probs(ggml_context* ctx, const DecoderModel& model, ggml_tensor* q,
                                     const KvView& kv) {
  const DecoderHparams& hp = model.hparams();
  const int64_t n_tokens = q->ne[2];
  if (n_tokens == 1 && kv.mask == nullptr) {
    // The query heads of one KV head side by side: each cached byte is read once.
    q = ggml_reshape_3d(ctx, q, hp.n_embd_head, hp.n_head / hp.n_head_kv, hp.n_head_kv);
    ggml_tensor* kq = ggml_mul_mat(ctx, kv.k, q);  // [n_kv, n_head / n_head_kv, n_head_kv]
    return ggml_soft_max_ext(ctx, kq, nullptr, hp.attn_scale, 0);
  }
  ggml_tensor* kq = ggml_mul_mat(ctx, kv.k, ggml_permute(ctx, q, 0, 2, 1, 3));
  ggml_prec_set_acc(kq, GGML_PREC_F32);
  return ggml_soft_max_ext(ctx, kq, kv.mask, hp.attn_scale, 0);
}

DecoderAttention decoder_attention(ggml_context* ctx, const DecoderModel& model, ggml_tensor* q,
                                   const KvView& kv) {
  const DecoderHparams& hp = model.hparams();
  const int64_t n_tokens = q->ne[2];
  const int64_t n_out = static_cast<int64_t>(hp.n_embd_head) * hp.n_head;
  if (!kv.is_v_transposed) {
    ggml_tensor* q_heads = ggml_permute(ctx, q, 0, 2, 1, 3);  // [n_embd_head, n_tokens, n_head]
    ggml_tensor* out = ggml_flash_attn_ext(ctx, q_heads, kv.k, kv.v, kv.mask, hp.attn_scale, 0, 0);
    ggml_prec_set_acc(out, GGML_PREC_F32);
    return {ggml_reshape_2d(ctx, out, n_out, n_tokens), nullptr};
  }
  ggml_tensor* probs = decoder_attention_probs(ctx, model, q, kv);
  ggml_tensor* kqv = ggml_mul_mat(ctx, kv.v, probs);
  if (n_tokens == 1) {
    return {ggml_reshape_2d(ctx, kqv, n_out, 1),
            ggml_reshape_3d(ctx, probs, probs->ne[0], 1, hp.n_head)};
  }
  // [n_embd_head, n_tokens, n_head] to heads of one token side by side
  return {ggml_cont_2d(ctx, ggml_permute(ctx, kqv, 0, 2, 1, 3), n_out, n_tokens), probs};
}

ggml_tensor* decoder_layer_rest(ggml_context* ctx, const DecoderModel& model, int32_t il,
                                ggml_tensor* x, ggml_tensor* attention) {
  const DecoderHparams& hp = model.hparams();
  const DecoderLayer& l = model.layers()[il];
  ggml_tensor* h = project(ctx, l.wo, l.bo, attention);
  if (l.attn_post_norm != nullptr) h = norm(ctx, h, l.attn_post_norm, hp.rms_eps);
  x = ggml_add(ctx, h, x);
  h = norm(ctx, x, l.ffn_norm, hp.rms_eps);
  ggml_tensor* gate = ggml_mul_mat(ctx, l.ffn_gate, h);
  ggml_tensor* up = ggml_mul_mat(ctx, l.ffn_up, h);
  h = hp.activation == Activation::kSilu ? ggml_swiglu_split(ctx, gate, up)
                                         : ggml_geglu_split(ctx, gate, up);
  h = ggml_mul_mat(ctx, l.ffn_down, h);
  if (l.ffn_post_norm != nullptr) h = norm(ctx, h, l.ffn_post_norm, hp.rms_eps);
  return ggml_add(ctx, h, x);
}

ggml_tensor* decoder_head(ggml_context* ctx, const DecoderModel& model, ggml_tensor* x) {
  return ggml_mul_mat(ctx, model.output(),
                      norm(ctx, x, model.output_norm(), model.hparams().rms_eps));
}

}  // namespace reprise
