#pragma once

#include <cstdint>

#include "core/backend.h"

namespace reprise {

// Rotary position embedding with ggml_rope_ext's arguments. Source: RoFormer, arXiv 2104.09864,
// section 3.2; scaling by YaRN, arXiv 2309.00071.
struct Rope {
  int32_t n_rot = 0;       // values of a head that are rotated, the first ones; even
  int32_t type = 0;        // GGML_ROPE_TYPE_NORMAL: neighbours pair up; _NEOX: halves
  int32_t n_ctx_orig = 0;  // context before scaling
  float freq_base = 10000;
  float freq_scale = 1;
  float ext_factor = 0;  // 1 with YaRN
  float attn_factor = 1;
  ggml_tensor* freqs = nullptr;  // [n_rot / 2] F32, of whole heads alone; or null
};

// x [n_embd_head, n heads, n_tokens] F32 at pos [n_tokens] I32.
ggml_tensor* rope_node(GraphArena& arena, const Rope& rope, ggml_tensor* x, ggml_tensor* pos);

// What turns heads at one position: cosine and sine of each pair, scaled, in the places of the
// pair's first and second value.
struct RopeTable {
  ggml_tensor* values = nullptr;  // [n_rot] F32
  int32_t type = 0;
};
// pos: [1] I32. The table is ggml's own rotation of pairs (1, 0).
RopeTable rope_table_node(GraphArena& arena, const Rope& rope, ggml_tensor* pos);

// Turns one head in place. The table must be computed.
void rotate_head(const RopeTable& table, float* head);

}  // namespace reprise
