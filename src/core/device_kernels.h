#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/kernels/window_columns.h"

namespace reprise {

// Our kernels for a device whose memory the CPU does not see. They run between graphs, when the
// device is idle, and are done when they return. Both throw Error when the device reports one.
struct DeviceKernels {
  // Copies the rows in `slots` of one KV head, one after the other, to k_rows and v_rows in the
  // CPU's memory. k and v are the head's first rows, of row_bytes each.
  void (*gather_rows)(const std::byte* k, const std::byte* v, size_t row_bytes,
                      std::span<const int32_t> slots, std::byte* k_rows, std::byte* v_rows);
  // kernels/window_columns.h over all candidates, with k and q in the device's memory and without
  // an lse, which it works out itself. The same numbers up to F32 rounding, in an order of
  // additions that never changes.
  WindowSums (*window_columns)(const AttentionRows& rows, int32_t n_window, int32_t first_entry,
                               WindowStats& stats);
};

// Null in a program built without CUDA.
const DeviceKernels* cuda_kernels();

}  // namespace reprise
