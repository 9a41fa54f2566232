#pragma once

#include <cstdint>
#include <string_view>

#include "ggml-backend.h"

namespace reprise {

// Where graphs are computed.
struct Device {
  enum class Kind : uint8_t {
    kCpu,      // our kernels and ggml's operations
    kGgmlCpu,  // ggml's operations alone, as on a GPU: to compare with
    kCuda,
  };
  Kind kind = Kind::kCpu;
  int32_t index = 0;  // of the CUDA devices

  // "cpu", "ggml-cpu", "cuda" or "cuda:N". Throws Error.
  static Device parse(std::string_view text);
};

// ggml's backend of a CUDA device; the caller frees it. Throws Error when the program was built
// without CUDA, when there is no such device, and when it cannot be started.
ggml_backend_t start_cuda(int32_t index);

}  // namespace reprise
