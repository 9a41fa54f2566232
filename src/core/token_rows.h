#pragma once

#include <cstddef>
#include <cstdint>

#include "ggml.h"

namespace reprise {

// Values of a node's tensor in front of others that want a place of their own: scratch starts at a
// cache line where the tensor does, which ggml aligns to 32 bytes.
inline int64_t aligned_values(int64_t n) {
  constexpr int64_t kAlign = 16;
  return (n + kAlign - 1) / kAlign * kAlign;
}

// Asks for the nodes behind this one and what is kept for them, which stand behind `kept`: a
// layer's weights push the graph out of the caches, and all threads would wait for it between two
// nodes.
template <class Kept>
void prefetch_next_nodes(const ggml_tensor* node, const Kept* kept) {
  constexpr int kLine = 64;
  constexpr int kNodesAhead = 6 * static_cast<int>(sizeof(ggml_tensor));
  constexpr int kKeptAhead = 512;
  const auto* nodes = reinterpret_cast<const std::byte*>(node + 1);
  for (int i = 0; i < kNodesAhead; i += kLine) __builtin_prefetch(nodes + i, 0, 2);
  const auto* more = reinterpret_cast<const std::byte*>(kept + 1);
  for (int i = 0; i < kKeptAhead; i += kLine) __builtin_prefetch(more + i, 0, 2);
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
