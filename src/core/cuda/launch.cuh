#pragma once

#include <cuda_runtime.h>

#include <cstddef>

namespace reprise {

// Runs a kernel on the current device. Its tests put another file of this name in front, which runs
// it on the CPU.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
            Arguments... arguments) {
  kernel<<<grid, block, shared_bytes>>>(arguments...);
}

// The shared memory that launch() gave the block.
__device__ inline float* shared_values() {
  extern __shared__ float values[];
  return values;
}

}  // namespace reprise
