#include "engines/generate/prompt_attention.h"

#include <algorithm>
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

}  // namespace

PromptAttention::PromptAttention(const WindowShape& shape, int32_t n_candidates, int32_t n_threads)
    : shape_(shape), n_candidates_(n_candidates), parts_(n_threads) {
  const size_t n_out = static_cast<size_t>(n_candidates) * shape.n_head_kv;
  stats_.mean.resize(n_out);
  stats_.var.resize(n_out);
  stats_.last.resize(n_out);
}

void PromptAttention::add_node(GraphArena& arena, ggml_tensor* q, const KvView& view,
                               ggml_tensor* lse, int32_t first_entry, ggml_custom_op_t run) {
  auto* work = arena.keep<Work>();
  *work = {this, view.span, first_entry};
  ggml_tensor* sources[] = {q, view.k, lse};
  ggml_build_forward_expand(arena.graph(), ggml_custom_4d(arena.ctx(), GGML_TYPE_F32, 1, 1, 1, 1,
                                                          sources, 3, run, GGML_N_TASKS_MAX, work));
}

void PromptAttention::add_window(GraphArena& arena, ggml_tensor* q, const KvView& view,
                                 ggml_tensor* lse, int32_t first_entry) {
  if (arena.has_kernels()) {
    add_node(arena, q, view, lse, first_entry, run_window);
    return;
  }
  keep_window(arena, q, view, first_entry);
}

// Copies the window's queries out of the graph, whose memory other nodes take over.
void PromptAttention::keep_window(GraphArena& arena, ggml_tensor* q, const KvView& view,
                                  int32_t first_entry) {
  const int32_t n = shape_.n_window;
  window_q_.reset(ggml_backend_buft_alloc_buffer(arena.buffer_type(), q->nb[2] * n));
  if (window_q_ == nullptr) throw Error("out of memory for the queries of the observation window");
  ggml_tensor* kept = arena.view(window_q_.get(), ggml_backend_buffer_get_base(window_q_.get()),
                                 GGML_TYPE_F32, {q->ne[0], q->ne[1], n}, q->nb[1], q->nb[2]);
  ggml_tensor* last = ggml_view_3d(arena.ctx(), q, q->ne[0], q->ne[1], n, q->nb[1], q->nb[2],
                                   q->nb[2] * (view.span.n_tokens - n));
  ggml_build_forward_expand(arena.graph(), ggml_cpy(arena.ctx(), last, kept));
  unmeasured_ = {{kept, view.k, {view.span.n_kv() - n, n, 0}, shape_.scale}, first_entry};
}

void PromptAttention::measure(const Backend& backend) {
  if (!unmeasured_) return;
  const FirstThreadTimer timer(0, seconds_);
  parts_[0] =
      measure_window(backend, unmeasured_->pass, shape_.n_window, unmeasured_->first_entry, stats_);
  unmeasured_.reset();
}

void PromptAttention::add_sum(GraphArena& arena, ggml_tensor* q, const KvView& view,
                              ggml_tensor* lse, int32_t first_entry) {
  sum_.resize(static_cast<size_t>(n_candidates_) * shape_.n_head_kv);
  add_node(arena, q, view, lse, first_entry, run_sum);
}

AttentionRows PromptAttention::rows(const ggml_tensor* node, const Work& work) const {
  AttentionRows rows;
  rows.shape = attention_shape(node->src[0], node->src[1], shape_.scale);
  rows.k = kv_rows(node->src[1]);
  rows.span = work.span;
  rows.q = static_cast<const float*>(node->src[0]->data);
  rows.lse = static_cast<const float*>(node->src[2]->data);
  return rows;
}

void PromptAttention::run_window(ggml_tensor* dst, int ith, int nth, void* work_pointer) {
  const auto& work = *static_cast<const Work*>(work_pointer);
  PromptAttention& self = *work.self;
  const FirstThreadTimer timer(ith, self.seconds_);
  const int64_t n = self.n_candidates_;
  self.parts_[ith] = window_columns(self.rows(dst, work), self.shape_.n_window, work.first_entry,
                                    static_cast<int32_t>(n * ith / nth),
                                    static_cast<int32_t>(n * (ith + 1) / nth), self.stats_);
}

void PromptAttention::run_sum(ggml_tensor* dst, int ith, int nth, void* work_pointer) {
  const auto& work = *static_cast<const Work*>(work_pointer);
  PromptAttention& self = *work.self;
  const FirstThreadTimer timer(ith, self.seconds_);
  const int64_t n_candidates = self.n_candidates_;
  const int64_t n = std::min<int64_t>(n_candidates, work.span.n_kv() - work.first_entry);
  for (int32_t g = 0; g < self.shape_.n_head_kv; ++g) {
    add_attention_received(
        self.rows(dst, work), g, work.first_entry, static_cast<int32_t>(n * ith / nth),
        static_cast<int32_t>(n * (ith + 1) / nth), self.sum_.data() + g * n_candidates);
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
