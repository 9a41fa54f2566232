#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace reprise {

// Sizes of one layer's observation window: the last n_window query rows look at all n_kv keys.
struct WindowShape {
  int32_t n_embd_head = 0;  // values in one head
  int32_t n_head = 0;       // query heads, a multiple of n_head_kv
  int32_t n_head_kv = 0;
  int32_t n_kv = 0;      // keys, the window's own included
  int32_t n_window = 0;  // 2 <= n_window < n_kv
  float scale = 0;       // of the logits, usually 1 / sqrt(n_embd_head)

  int32_t n_candidates() const { return n_kv - n_window; }
};

// What the window's attention says about the n_kv - n_window keys before it. The softmax runs over
// all n_kv columns and the prefix part is not renormalised. Source: CAKE, arXiv 2503.12491, and its
// official code.
struct WindowStats {
  double entropy = 0;  // H: -sum of a * ln(a + 1e-10) over heads, rows and candidate columns
  double variance =
      0;  // V: sum over heads and candidate columns of the unbiased variance over rows
  // All [n_candidates, n_head_kv], averaged over the query heads that share a KV head:
  std::vector<float> mean;  // over the window's rows
  std::vector<float> var;   // unbiased, over the window's rows
  std::vector<float> last;  // the last row alone
};

// Computes the statistics in one pass for the softmax and one per KV head for the columns; O(n_kv)
// memory. q [n_embd_head, n_window, n_head] and k [n_embd_head, n_kv, n_head_kv] are F32 after
// RoPE, rows contiguous. Row r of the window sees the keys up to n_kv - n_window + r. Throws Error
// when a logit is not finite.
WindowStats window_stats(const WindowShape& shape, std::span<const float> q,
                         std::span<const float> k);

}  // namespace reprise
