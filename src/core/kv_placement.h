#pragma once

#include <cstdint>

#include "core/device_kernels.h"
#include "ggml-backend.h"

namespace reprise {

// Where the KV cache of a sequence lives: in what memory, and in what steps its blocks grow.
struct KvPlacement {
  ggml_backend_buffer_type_t buffer_type = nullptr;  // null: memory of the CPU
  int32_t unit = 1;                                  // capacities are a multiple, in entries
  const DeviceKernels* kernels = nullptr;            // of that memory, if there are any
};

}  // namespace reprise
