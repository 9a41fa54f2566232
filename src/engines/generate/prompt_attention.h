#pragma once

#include <cstdint>
#include <vector>

#include "core/backend.h"
#include "core/kernels/window_columns.h"

namespace reprise {

// Measures the attention of a prompt while its graph runs: nodes that read softmax rows and leave
// only sums behind. One object a layer pass; it must outlive the compute.
class PromptAttention {
 public:
  // The statistics of the window of n_window rows over the turn's own n_tokens columns.
  PromptAttention(const WindowShape& shape, int32_t n_threads);

  // Adds the node that fills stats() from the last n_window rows of probs [n_kv, n_rows, n_head];
  // the turn's first candidate stands in column first_column.
  void add_window(GraphArena& arena, ggml_tensor* probs, int32_t first_column);
  // Adds the node that adds up all rows of probs per column into prompt_sum().
  void add_sum(GraphArena& arena, ggml_tensor* probs, int32_t first_column);

  // Throws Error when attention was not finite.
  const WindowStats& stats();
  // [n_candidates, n_head_kv]: attention received, averaged over the query heads of a KV head.
  std::span<const float> prompt_sum() const { return sum_; }
  // Seconds that the first thread spent in these nodes.
  double seconds() const { return seconds_; }

 private:
  static void run_window(ggml_tensor* dst, int ith, int nth, void* self);
  static void run_sum(ggml_tensor* dst, int ith, int nth, void* self);

  WindowShape shape_;
  int32_t first_column_ = 0;
  WindowStats stats_;
  std::vector<WindowSums> parts_;  // [n_threads]
  std::vector<float> sum_;
  double seconds_ = 0;
};

}  // namespace reprise
