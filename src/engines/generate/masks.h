#pragma once

#include <cstdint>

#include "core/backend.h"

namespace reprise {

// The entries of one layer that a pass of n_tokens sees: n_held of the past in any order (in a
// sliding-window layer the last n_held positions in order), then the pass's own tokens.
struct MaskSpan {
  int32_t n_held = 0;
  int32_t n_tokens = 0;
  int32_t n_swa = 0;  // 0: no sliding window

  int32_t n_kv() const { return n_held + n_tokens; }
  // First slot that a single query of a sliding-window layer still sees: a shorter view instead of
  // a mask.
  int32_t first_slot() const {
    return n_tokens == 1 && n_swa > 0 && n_kv() > n_swa ? n_kv() - n_swa : 0;
  }
};

// Input tensor [n_kv, n_tokens] F16 for the span; null for a single token, which sees all of its
// view.
ggml_tensor* make_mask(GraphArena& arena, const MaskSpan& span);
// Writes 0 where a token may look and -inf elsewhere. For masks that the graph uses (data set).
void fill_mask(ggml_tensor* mask, const MaskSpan& span);

}  // namespace reprise
