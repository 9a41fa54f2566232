#pragma once

#include <cstddef>
#include <cstdint>

#include "ggml.h"

namespace reprise {

// Keys or values that one layer holds: entry n of KV head g is a row of n_embd_head values at data
// + g * head_bytes + n * row_bytes.
struct KvRows {
  const std::byte* data = nullptr;
  size_t row_bytes = 0;
  size_t head_bytes = 0;
};

// Sizes of one layer's attention. Every KV head serves n_head / n_head_kv query heads in a row.
struct AttentionShape {
  int32_t n_embd_head = 0;
  int32_t n_head = 0;
  int32_t n_head_kv = 0;
  ggml_type type = GGML_TYPE_F16;  // of K and V: f32, f16, q8_0 or q4_0
  float scale = 0;                 // of the logits, usually 1 / sqrt(n_embd_head)

  int32_t n_group() const { return n_head / n_head_kv; }
};

// Which entries the queries of one pass see: n_held older ones (in a sliding-window layer the last
// positions in order, otherwise in any order), then the pass's own tokens, each token itself and
// those before it; where attention is not causal, all of the pass's tokens.
struct CausalSpan {
  int32_t n_held = 0;
  int32_t n_tokens = 0;
  int32_t n_swa = 0;  // entries that a token of a sliding-window layer sees; 0: all
  bool is_causal = true;

  bool operator==(const CausalSpan&) const = default;

  int32_t n_kv() const { return n_held + n_tokens; }
  int32_t end(int32_t i_token) const { return is_causal ? n_held + i_token + 1 : n_kv(); }
  int32_t begin(int32_t i_token) const {
    return n_swa > 0 && end(i_token) > n_swa ? end(i_token) - n_swa : 0;
  }
};

// Query rows that the kernels take together.
inline constexpr int32_t kQueryBlockRows = 96;

}  // namespace reprise
