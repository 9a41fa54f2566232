#pragma once

#include <cuda_fp16.h>

#include <cstddef>
#include <cstdint>

namespace reprise {

// How a row of each cache type holds its values, as ggml lays them out.

struct RowF32 {
  static __device__ float value(const std::byte* row, int x) {
    return reinterpret_cast<const float*>(row)[x];
  }
};

struct RowF16 {
  static __device__ float value(const std::byte* row, int x) {
    return __half2float(reinterpret_cast<const __half*>(row)[x]);
  }
};

// Blocks of 32 values behind one scale.
struct RowQ8_0 {
  struct Block {
    __half scale;
    int8_t values[32];
  };
  static __device__ float value(const std::byte* row, int x) {
    const Block& block = reinterpret_cast<const Block*>(row)[x / 32];
    return __half2float(block.scale) * static_cast<float>(block.values[x % 32]);
  }
};

// The first half of a block's values in the low four bits, the second in the high ones.
struct RowQ4_0 {
  struct Block {
    __half scale;
    uint8_t values[16];
  };
  static __device__ float value(const std::byte* row, int x) {
    const Block& block = reinterpret_cast<const Block*>(row)[x / 32];
    const int two = block.values[x % 16];
    return __half2float(block.scale) * static_cast<float>((x % 32 < 16 ? two & 15 : two >> 4) - 8);
  }
};

static_assert(sizeof(RowQ8_0::Block) == 34 && sizeof(RowQ4_0::Block) == 18);

}  // namespace reprise
