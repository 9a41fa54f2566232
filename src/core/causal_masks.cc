#include "core/causal_masks.h"

#include <algorithm>
#include <cassert>
#include <limits>

#include "ggml-backend.h"

namespace reprise {

ggml_tensor* CausalMasks::get(ggml_context* ctx, const CausalSpan& span, int64_t n_columns) {
  assert(n_columns >= span.n_kv());
  const auto same = std::ranges::find_if(masks_, [&](const Mask& mask) {
    return mask.span == span && mask.tensor->ne[0] == n_columns;
  });
  if (same != masks_.end()) return same->tensor;
  ggml_tensor* tensor = ggml_new_tensor_2d(ctx, GGML_TYPE_F16, n_columns, span.n_tokens);
  ggml_set_input(tensor);
  // Its memory is nobody else's afterwards: ggml lays a graph out like the one before when the
  // nodes have the same sizes, even if another node is now the last to read the mask.
  ggml_set_output(tensor);
  masks_.push_back({span, tensor});
  return tensor;
}

void CausalMasks::fill() const {
  const ggml_fp16_t seen = ggml_fp32_to_fp16(0);
  const ggml_fp16_t hidden = ggml_fp32_to_fp16(-std::numeric_limits<float>::infinity());
  std::vector<ggml_fp16_t> values;
  for (const auto& [span, tensor] : masks_) {
    const int64_t n_columns = tensor->ne[0];
    values.assign(ggml_nelements(tensor), hidden);
    for (int32_t i = 0; i < span.n_tokens; ++i) {
      const auto row = values.begin() + n_columns * i;
      std::fill(row + span.begin(i), row + span.end(i), seen);
    }
    ggml_backend_tensor_set(tensor, values.data(), 0, ggml_nbytes(tensor));
  }
}

}  // namespace reprise
