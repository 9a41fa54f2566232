#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "ggml.h"

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): CUDA's own names
struct __half {
  uint16_t bits;
};

inline float __half2float(__half value) { return ggml_fp16_to_fp32(value.bits); }
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
