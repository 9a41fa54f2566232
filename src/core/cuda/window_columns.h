#pragma once

#include "core/kernels/window_columns.h"

namespace reprise {

// DeviceKernels::window_columns on the CUDA device that holds the keys.
WindowSums cuda_window_columns(const AttentionRows& rows, int32_t n_window, int32_t first_entry,
                               WindowStats& stats);

}  // namespace reprise
