#pragma once

#include "core/device_kernels.h"
#include "ggml-backend.h"

namespace reprise::test {

// A device of ggml that computes on the CPU, but whose memory the process may touch only inside of
// ggml's copies, a compute and the device's kernels, as with a GPU: any other access ends the
// process. For programs without a GPU to show that nothing follows a device's pointers.
ggml_backend_t start_distant_backend(int32_t n_threads);
const DeviceKernels* distant_kernels();

}  // namespace reprise::test
