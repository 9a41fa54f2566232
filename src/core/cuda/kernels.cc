#include "core/cuda/kv_gather.h"
#include "core/cuda/window_columns.h"
#include "core/device_kernels.h"

namespace reprise {

const DeviceKernels* cuda_kernels() {
  static constexpr DeviceKernels kKernels = {cuda_gather_rows, cuda_window_columns};
  return &kKernels;
}

}  // namespace reprise
