#pragma once

// As much of CUDA as our kernels use, on the CPU: one thread for each of a block's, one block after
// the other. It shows that the arithmetic and the indices of a kernel are right; nothing about what
// only a GPU does (occupancy, memory order without a barrier, limits of registers).

#include <algorithm>
#include <barrier>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): CUDA's own names
#define __global__
#define __device__
#define __shared__

using std::min;

struct dim3 {
  unsigned x, y, z;
  explicit dim3(unsigned x_, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

namespace reprise::test {

constexpr unsigned kLanes = 32;

struct Warp {
  std::barrier<> barrier{kLanes};
  float values[kLanes];
};

// Of the thread that runs; set by launch().
struct CudaThread {
  dim3 thread{0}, block{0}, block_size{0}, grid{0};
  std::barrier<>* block_barrier = nullptr;
  Warp* warp = nullptr;
};
inline CudaThread& this_thread() {
  static thread_local CudaThread thread;
  return thread;
}

}  // namespace reprise::test

#define threadIdx (::reprise::test::this_thread().thread)
#define blockIdx (::reprise::test::this_thread().block)
#define blockDim (::reprise::test::this_thread().block_size)
#define gridDim (::reprise::test::this_thread().grid)

inline void __syncthreads() { ::reprise::test::this_thread().block_barrier->arrive_and_wait(); }

inline float __shfl_xor_sync(unsigned /*lanes*/, float value, int mask) {
  ::reprise::test::Warp& warp = *::reprise::test::this_thread().warp;
  const unsigned lane = threadIdx.x % ::reprise::test::kLanes;
  warp.values[lane] = value;
  warp.barrier.arrive_and_wait();
  const float other = warp.values[lane ^ static_cast<unsigned>(mask)];
  warp.barrier.arrive_and_wait();
  return other;
}

enum cudaError_t { cudaSuccess, cudaErrorMemoryAllocation };
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize };
struct cudaPointerAttributes {
  int device;
};

inline const char* cudaGetErrorString(cudaError_t /*status*/) { return "out of memory"; }
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline cudaError_t cudaGetDeviceCount(int* n) {
  *n = 1;
  return cudaSuccess;
}
inline cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* out, const void* /*pointer*/) {
  out->device = 0;
  return cudaSuccess;
}
inline cudaError_t cudaSetDevice(int /*device*/) { return cudaSuccess; }
inline cudaError_t cudaMalloc(void** data, size_t n_bytes) {
  *data = std::malloc(n_bytes);
  if (*data == nullptr) return cudaErrorMemoryAllocation;
  std::memset(*data, 0xFF, n_bytes);  // NaN: a GPU's memory is not zero either
  return cudaSuccess;
}
inline cudaError_t cudaFree(void* data) {
  std::free(data);
  return cudaSuccess;
}
inline cudaError_t cudaMemcpy(void* to, const void* from, size_t n_bytes, cudaMemcpyKind /*kind*/) {
  std::memcpy(to, from, n_bytes);
  return cudaSuccess;
}
template <class Kernel>
cudaError_t cudaFuncSetAttribute(Kernel* /*kernel*/, cudaFuncAttribute /*attribute*/,
                                 int /*value*/) {
  return cudaSuccess;
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
