#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <string>

#include "core/error.h"

namespace reprise {

inline void check_cuda(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  throw Error(std::string("CUDA: ") + what + ": " + cudaGetErrorString(status));
}

// Makes the device that holds this memory the thread's own.
inline void use_device_of(const void* pointer) {
  cudaPointerAttributes attributes{};
  check_cuda(cudaPointerGetAttributes(&attributes, pointer), "where the KV cache lies");
  check_cuda(cudaSetDevice(attributes.device), "cudaSetDevice");
}

inline void copy_to_device(void* to, const void* from, size_t n_bytes) {
  check_cuda(cudaMemcpy(to, from, n_bytes, cudaMemcpyHostToDevice), "copy to the device");
}

// Waits for the kernels before it.
inline void copy_to_host(void* to, const void* from, size_t n_bytes) {
  check_cuda(cudaMemcpy(to, from, n_bytes, cudaMemcpyDeviceToHost), "copy from the device");
}

// Memory of the device for one call.
class DeviceBytes {
 public:
  explicit DeviceBytes(size_t n_bytes) {
    check_cuda(cudaMalloc(&data_, n_bytes > 0 ? n_bytes : 1), "scratch memory");
  }
  ~DeviceBytes() { cudaFree(data_); }
  DeviceBytes(const DeviceBytes&) = delete;
  DeviceBytes& operator=(const DeviceBytes&) = delete;

  std::byte* get() const { return static_cast<std::byte*>(data_); }

 private:
  void* data_ = nullptr;
};

// Values there, which a kernel writes and to_host() reads.
template <class T>
class DeviceValues {
 public:
  explicit DeviceValues(size_t n) : n_bytes_(sizeof(T) * n), bytes_(n_bytes_) {}

  T* get() const { return reinterpret_cast<T*>(bytes_.get()); }
  void to_host(T* values) const { copy_to_host(values, bytes_.get(), n_bytes_); }

 private:
  size_t n_bytes_;
  DeviceBytes bytes_;
};

}  // namespace reprise
