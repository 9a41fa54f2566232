#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/backend.h"
#include "core/window_measurement.h"
#include "nets/decoder.h"

namespace reprise {

// Measures the attention of a prompt while its graph runs: nodes that work out probabilities again,
// tile by tile, from queries, keys and the sums of the attention before them, and leave only sums
// behind. Where graphs have no kernels of ours, the graph ends at its attention's inputs for that,
// and measure() works between the graphs. One object a layer pass; it must outlive the compute.
class PromptAttention {
 public:
  // The statistics of the window of shape.n_window rows over n_candidates of the columns before it.
  PromptAttention(const WindowShape& shape, int32_t n_candidates, int32_t n_threads);

  // Adds the node that fills stats() from the chunk's last n_window tokens. q and view as given to
  // decoder_attention, lse [n_head, n_tokens] from it; the first candidate is entry first_entry of
  // the view.
  void add_window(GraphArena& arena, ggml_tensor* q, const KvView& view, ggml_tensor* lse,
                  int32_t first_entry);
  // Adds the node that adds up the attention of all of the chunk's tokens per entry into
  // prompt_sum().
  void add_sum(GraphArena& arena, ggml_tensor* q, const KvView& view, ggml_tensor* lse,
               int32_t first_entry);

  // After the compute of each graph: what its nodes could not measure.
  void measure(const Backend& backend);

  // Throws Error when attention was not finite.
  const WindowStats& stats();
  // [n_candidates, n_head_kv]: attention received, averaged over the query heads of a KV head.
  std::span<const float> prompt_sum() const { return sum_; }
  // Seconds that the first thread spent in these nodes and in measure().
  double seconds() const { return seconds_; }

 private:
  // One node's work, kept beside the graph.
  struct Work {
    PromptAttention* self;
    CausalSpan span;
    int32_t first_entry;
  };
  void keep_window(GraphArena& arena, ggml_tensor* q, const KvView& view, int32_t first_entry);
  void add_node(GraphArena& arena, ggml_tensor* q, const KvView& view, ggml_tensor* lse,
                int32_t first_entry, ggml_custom_op_t run);
  AttentionRows rows(const ggml_tensor* node, const Work& work) const;
  static void run_window(ggml_tensor* dst, int ith, int nth, void* work);
  static void run_sum(ggml_tensor* dst, int ith, int nth, void* work);

  // A window that measure() looks at; its queries lie in window_q_.
  struct Unmeasured {
    ComputedPass pass;
    int32_t first_entry;
  };

  WindowShape shape_;
  int32_t n_candidates_;
  WindowStats stats_;
  std::vector<WindowSums> parts_;  // [n_threads]
  std::vector<float> sum_;
  std::unique_ptr<ggml_backend_buffer, decltype(&ggml_backend_buffer_free)> window_q_{
      nullptr, ggml_backend_buffer_free};
  std::optional<Unmeasured> unmeasured_;
  double seconds_ = 0;
};

}  // namespace reprise
