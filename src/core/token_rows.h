#pragma once

#include <algorithm>
#include <cstdint>

#include "ggml.h"

namespace reprise {

// How the rows of a token's products are split into parts that threads take, and where scratch
// starts in a node's tensor.

// Values: scratch starts at a cache line where the tensor does, which ggml aligns to 32 bytes.
inline int64_t aligned_values(int64_t n) {
  constexpr int64_t kAlign = 16;
  return (n + kAlign - 1) / kAlign * kAlign;
}

inline constexpr int64_t kMostPartRows = 256;

// Rows of a part, for n_rows in all: enough parts that no thread waits long for the last, and a
// multiple of what the kernels take together.
inline int64_t rows_of_a_part(int64_t n_rows, int32_t n_threads) {
  constexpr int64_t kPartsAThread = 12;
  constexpr int64_t kLeast = 16;
  const int64_t wanted = n_rows / (n_threads * kPartsAThread) / kLeast * kLeast;
  return std::clamp(wanted, kLeast, kMostPartRows);
}

inline int64_t row_parts(int64_t n_rows, int64_t part_rows) {
  return (n_rows + part_rows - 1) / part_rows;
}

// y[0 .. n) += values [first, first + n) of a vector; nothing for none.
inline void add_rows(const ggml_tensor* vector, int64_t first, int64_t n, float* y) {
  if (vector == nullptr) return;
  const auto* values = static_cast<const float*>(vector->data);
  for (int64_t i = 0; i < n; ++i) y[i] += values[first + i];
}

}  // namespace reprise
