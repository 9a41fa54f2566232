#pragma once

#include <cstdint>
#include <span>

#include "core/kernels/attention.h"
#include "core/kernels/window_stats.h"

namespace reprise {

// What a pass knows once its attention is done, for statistics over single entries ("columns").
struct AttentionRows {
  AttentionShape shape;
  KvRows k;
  CausalSpan span;             // of a layer without a sliding window
  const float* q = nullptr;    // [n_embd_head, n_head, n_tokens]
  const float* lse = nullptr;  // [n_head, n_tokens]: PrefillAttention's
};

// The parts of H and V that some columns contribute.
struct WindowSums {
  double entropy = 0;
  double variance = 0;
};

// Of the attention of the pass's last n_window tokens: writes mean, var and last of candidates
// [first, last) into stats, whose vectors have their size already [n_candidates, n_head_kv], and
// returns their share of H and V. A window of one row has no variance. Candidate n is entry
// first_entry + n; every token of the window sees it. Ranges may be computed at the same time. The
// same numbers as window_stats() up to F32 rounding; not finite where a logit is not.
WindowSums window_columns(const AttentionRows& rows, int32_t n_window, int32_t first_entry,
                          int32_t first, int32_t last, WindowStats& stats);

// Adds to sums[n], n in [first, last), the attention that entry first_entry + n receives from all
// tokens of the pass in KV head g, averaged over its query heads. Ranges may be computed at the
// same time.
void add_attention_received(const AttentionRows& rows, int32_t g, int32_t first_entry,
                            int32_t first, int32_t last, float* sums);

}  // namespace reprise
