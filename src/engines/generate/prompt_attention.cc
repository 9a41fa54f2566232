#include "engines/generate/prompt_attention.h"

#include <chrono>
#include <cmath>

#include "core/error.h"

namespace reprise {
namespace {

// Adds the time of thread 0 to `seconds` at the end of its scope.
class FirstThreadTimer {
 public:
  FirstThreadTimer(int ith, double& seconds) : ith_(ith), seconds_(seconds) {}
  ~FirstThreadTimer() {
    if (ith_ != 0) return;
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  FirstThreadTimer(const FirstThreadTimer&) = delete;
  FirstThreadTimer& operator=(const FirstThreadTimer&) = delete;

 private:
  int ith_;
  double& seconds_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

void add_node(GraphArena& arena, ggml_tensor* probs, ggml_custom_op_t run, void* self) {
  ggml_tensor* node = ggml_custom_4d(arena.ctx(), GGML_TYPE_F32, 1, 1, 1, 1, &probs, 1, run,
                                     GGML_N_TASKS_MAX, self);
  ggml_build_forward_expand(arena.graph(), node);
}

}  // namespace

PromptAttention::PromptAttention(const WindowShape& shape, int32_t n_threads)
    : shape_(shape), parts_(n_threads) {
  const size_t n_out = static_cast<size_t>(shape.n_candidates()) * shape.n_head_kv;
  stats_.mean.resize(n_out);
  stats_.var.resize(n_out);
  stats_.last.resize(n_out);
}

void PromptAttention::add_window(GraphArena& arena, ggml_tensor* probs, int32_t first_column) {
  first_column_ = first_column;
  add_node(arena, probs, run_window, this);
}

void PromptAttention::add_sum(GraphArena& arena, ggml_tensor* probs, int32_t first_column) {
  first_column_ = first_column;
  sum_.resize(static_cast<size_t>(shape_.n_candidates()) * shape_.n_head_kv);
  add_node(arena, probs, run_sum, this);
}

void PromptAttention::run_window(ggml_tensor* dst, int ith, int nth, void* self_pointer) {
  auto* self = static_cast<PromptAttention*>(self_pointer);
  const FirstThreadTimer timer(ith, self->seconds_);
  const ggml_tensor* probs = dst->src[0];
  const int64_t row = probs->ne[0];
  const int64_t n_skip = probs->ne[1] - self->shape_.n_window;
  const WindowProbs view{static_cast<const float*>(probs->data) + n_skip * row, row,
                         row * probs->ne[1], self->first_column_};
  const int64_t n = self->shape_.n_candidates();
  self->parts_[ith] = window_columns(self->shape_, view, static_cast<int32_t>(n * ith / nth),
                                     static_cast<int32_t>(n * (ith + 1) / nth), self->stats_);
}

void PromptAttention::run_sum(ggml_tensor* dst, int ith, int nth, void* self_pointer) {
  auto* self = static_cast<PromptAttention*>(self_pointer);
  const FirstThreadTimer timer(ith, self->seconds_);
  const ggml_tensor* probs = dst->src[0];
  const int64_t n_candidates = self->shape_.n_candidates();
  const int64_t n_columns = std::min(n_candidates, probs->ne[0] - self->first_column_);
  const int64_t first = n_columns * ith / nth;
  const int64_t last = n_columns * (ith + 1) / nth;
  const int32_t n_group = self->shape_.n_head / self->shape_.n_head_kv;
  const float scale = 1.0F / static_cast<float>(n_group);
  for (int64_t h = 0; h < probs->ne[2]; ++h) {
    float* sum = self->sum_.data() + h / n_group * n_candidates;
    for (int64_t r = 0; r < probs->ne[1]; ++r) {
      const float* a = static_cast<const float*>(probs->data) +
                       (h * probs->ne[1] + r) * probs->ne[0] + self->first_column_;
      for (int64_t n = first; n < last; ++n) sum[n] += scale * a[n];
    }
  }
}

const WindowStats& PromptAttention::stats() {
  stats_.entropy = 0;
  stats_.variance = 0;
  for (const WindowSums& part : parts_) {
    stats_.entropy += part.entropy;
    stats_.variance += part.variance;
  }
  if (!std::isfinite(stats_.entropy) || !std::isfinite(stats_.variance)) {
    throw Error(
        "attention of the observation window is not finite; the model file or its inputs are "
        "broken");
  }
  return stats_;
}

}  // namespace reprise
