#include "core/plain_nodes.h"

#include <algorithm>

namespace reprise {

void plain_matmul_nodes(GraphArena& arena, std::span<ggml_tensor* const> w, ggml_tensor* x,
                        std::span<ggml_tensor*> y) {
  const auto phase = x->ne[1] == 1 ? ProductLog::Phase::kDecode : ProductLog::Phase::kPrompt;
  std::ranges::transform(w, y.begin(), [&](ggml_tensor* weights) {
    arena.note_product(phase, kGgmlProduct, *weights);
    return ggml_mul_mat(arena.ctx(), weights, x);
  });
}

AttentionNode plain_attention_node(GraphArena& arena, const AttentionInputs& in) {
  ggml_context* ctx = arena.ctx();
  ggml_tensor* mask = arena.causal_mask(in.span, in.k->ne[1]);
  ggml_tensor* q = ggml_permute(ctx, in.q, 0, 2, 1, 3);  // [n_embd_head, n_tokens, n_head]
  ggml_tensor* out = ggml_flash_attn_ext(ctx, q, in.k, in.v, mask, in.scale, 0, 0);
  ggml_prec_set_acc(out, GGML_PREC_F32);
  AttentionNode node;
  node.out = ggml_reshape_2d(ctx, out, out->ne[0] * out->ne[1], out->ne[2]);
  return node;
}

}  // namespace reprise
