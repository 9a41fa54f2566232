#pragma once

#include <cstdint>

#include "ggml.h"

namespace reprise {

// Values of a node's tensor in front of others that want a place of their own: scratch starts at a
// cache line where the tensor does, which ggml aligns to 32 bytes.
inline int64_t aligned_values(int64_t n) {
  constexpr int64_t kAlign = 16;
  return (n + kAlign - 1) / kAlign * kAlign;
}

// Of an F32 tensor that is computed or a weight.
inline const float* f32_values(const ggml_tensor* tensor) {
  return static_cast<const float*>(tensor->data);
}

// y[0 .. n) += values [first, first + n) of a vector; nothing for none.
inline void add_rows(const ggml_tensor* vector, int64_t first, int64_t n, float* y) {
  if (vector == nullptr) return;
  const float* values = f32_values(vector) + first;
  for (int64_t i = 0; i < n; ++i) y[i] += values[i];
}

}  // namespace reprise
