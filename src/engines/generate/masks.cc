#include "engines/generate/masks.h"

#include <algorithm>
#include <limits>

namespace reprise {

ggml_tensor* make_mask(GraphArena& arena, const MaskSpan& span) {
  return span.n_tokens == 1 ? nullptr : arena.input(GGML_TYPE_F16, span.n_kv(), span.n_tokens);
}

void fill_mask(ggml_tensor* mask, const MaskSpan& span) {
  const ggml_fp16_t hidden = ggml_fp32_to_fp16(-std::numeric_limits<float>::infinity());
  const ggml_fp16_t seen = ggml_fp32_to_fp16(0.0F);
  auto* row = static_cast<ggml_fp16_t*>(mask->data);
  for (int32_t i = 0; i < span.n_tokens; ++i, row += span.n_kv()) {
    const int32_t end = span.n_held + i + 1;
    const int32_t begin = span.n_swa > 0 ? std::max(0, end - span.n_swa) : 0;
    std::fill(row, row + begin, hidden);
    std::fill(row + begin, row + end, seen);
    std::fill(row + end, row + span.n_kv(), hidden);
  }
}

}  // namespace reprise
