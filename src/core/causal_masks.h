#pragma once

#include <cstdint>
#include <vector>

#include "core/kernels/attention.h"
#include "ggml.h"

namespace reprise {

// The attention masks of one graph, for ggml's attention: graph inputs that say which entries a
// token sees. Layers with equal spans share one.
class CausalMasks {
 public:
  // [n_columns, span.n_tokens] F16: 0 where the token sees the entry, -inf elsewhere; columns
  // behind the span's entries, up to n_columns >= span.n_kv(), are seen by none.
  ggml_tensor* get(ggml_context* ctx, const CausalSpan& span, int64_t n_columns);
  // Fills all of them, once they have memory.
  void fill() const;
  void clear() { masks_.clear(); }

 private:
  struct Mask {
    CausalSpan span;
    ggml_tensor* tensor;
  };
  std::vector<Mask> masks_;
};

}  // namespace reprise
