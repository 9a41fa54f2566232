#pragma once

#include "core/backend.h"
#include "core/kernels/window_columns.h"

namespace reprise {

// What is left of a pass whose attention ran without our kernels: the queries of its last tokens
// [n_embd_head, n_head, span.n_tokens] F32 and the keys [n_embd_head, at least span.n_kv(),
// n_head_kv] that they saw, of a layer without a sliding window.
struct ComputedPass {
  ggml_tensor* q = nullptr;
  ggml_tensor* k = nullptr;
  CausalSpan span;
  float scale = 1;  // of the logits
};

// window_columns() over all candidates (the size of the vectors in stats says how many), without an
// lse in `rows`: it is worked out first. In memory of the CPU.
WindowSums window_columns_without_lse(AttentionRows rows, int32_t n_window, int32_t first_entry,
                                      WindowStats& stats);

// The same for a pass in the backend's memory, between two graphs. Throws Error when that is not
// the CPU's and the backend has no kernels for it.
WindowSums measure_window(const Backend& backend, const ComputedPass& pass, int32_t n_window,
                          int32_t first_entry, WindowStats& stats);

}  // namespace reprise
