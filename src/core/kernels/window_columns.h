#pragma once

#include <cstdint>
#include <span>

#include "core/kernels/window_stats.h"

namespace reprise {

// Softmax rows of a window, already computed: row r of head h starts at data + h * head_stride + r
// * row_stride, and the first candidate stands in column first_column.
struct WindowProbs {
  const float* data = nullptr;
  int64_t row_stride = 0;   // in values
  int64_t head_stride = 0;  // in values
  int32_t first_column = 0;
};

// The parts of H and V that some columns contribute.
struct WindowSums {
  double entropy = 0;
  double variance = 0;
};

// Writes mean, var and last of candidates [first, last) into stats, whose vectors have their size
// already, and returns their share of H and V. Ranges may be computed at the same time. The same
// numbers as window_stats() up to F32 rounding; not finite where a probability is not.
WindowSums window_columns(const WindowShape& shape, const WindowProbs& probs, int32_t first,
                          int32_t last, WindowStats& stats);

}  // namespace reprise
