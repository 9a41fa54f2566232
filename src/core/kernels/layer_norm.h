#pragma once

#include <cstdint>

namespace reprise {

// out = (x - mean) / sqrt(variance + eps) * weight + bias for each row; the variance divides by n.
struct LayerNorm {
  const float* weight = nullptr;  // [n]
  const float* bias = nullptr;    // [n]
  int64_t n = 0;
  float eps = 1e-5F;  // as PyTorch has it
};

// x, out: [n_rows][n]; may be the same.
void layer_norm(const LayerNorm& norm, const float* x, int64_t n_rows, float* out);

}  // namespace reprise
