#include "core/window_measurement.h"

#include <fmt/format.h>

#include <vector>

#include "core/attention_node.h"
#include "core/device_kernels.h"
#include "core/error.h"
#include "core/kernels/prefill_attention.h"

namespace reprise {
namespace {

// [n_head, n_tokens] of the pass.
std::vector<float> lse_of(const AttentionRows& rows) {
  const AttentionShape& s = rows.shape;
  const int32_t n_tokens = rows.span.n_tokens;
  PrefillAttention a;
  a.shape = s;
  a.k = rows.k;
  a.v = rows.k;  // their mean is of no use
  a.span = rows.span;
  a.q = rows.q;
  std::vector<float> out(static_cast<size_t>(s.n_embd_head) * s.n_head * n_tokens);
  std::vector<float> lse(static_cast<size_t>(s.n_head) * n_tokens);
  std::vector<float> scratch(prefill_attention_scratch(s));
  a.out = out.data();
  a.lse = lse.data();
  for (int32_t g = 0; g < s.n_head_kv; ++g) {
    for (int32_t i = 0; i < a.n_parts(); ++i) prefill_attention_part(a, g, i, scratch.data());
  }
  return lse;
}

}  // namespace

WindowSums window_columns_without_lse(AttentionRows rows, int32_t n_window, int32_t first_entry,
                                      WindowStats& stats) {
  // The window read once more, as a pass of its own.
  rows.q += static_cast<int64_t>(rows.shape.n_embd_head) * rows.shape.n_head *
            (rows.span.n_tokens - n_window);
  rows.span = {rows.span.n_kv() - n_window, n_window, 0};
  const std::vector<float> lse = lse_of(rows);
  rows.lse = lse.data();
  const auto n_candidates = static_cast<int32_t>(stats.mean.size()) / rows.shape.n_head_kv;
  return window_columns(rows, n_window, first_entry, 0, n_candidates, stats);
}

WindowSums measure_window(const Backend& backend, const ComputedPass& pass, int32_t n_window,
                          int32_t first_entry, WindowStats& stats) {
  AttentionRows rows;
  rows.shape = attention_shape(pass.q, pass.k, pass.scale);
  rows.k = kv_rows(pass.k);
  rows.span = pass.span;
  rows.q = static_cast<const float*>(pass.q->data);
  if (!backend.is_host()) {
    const DeviceKernels* kernels = backend.kernels();
    if (kernels == nullptr) {
      throw Error(fmt::format("{} has no kernels for a KV policy; use --kv full or --device cpu",
                              ggml_backend_name(backend.get())));
    }
    return kernels->window_columns(rows, n_window, first_entry, stats);
  }
  return window_columns_without_lse(rows, n_window, first_entry, stats);
}

}  // namespace reprise
