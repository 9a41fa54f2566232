#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace reprise {

// DeviceKernels::gather_rows on the CUDA device that holds k and v.
void cuda_gather_rows(const std::byte* k, const std::byte* v, size_t row_bytes,
                      std::span<const int32_t> slots, std::byte* k_rows, std::byte* v_rows);

}  // namespace reprise
