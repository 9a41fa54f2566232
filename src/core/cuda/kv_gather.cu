#include "core/cuda/device_memory.cuh"
#include "core/cuda/kv_gather.h"
#include "core/cuda/launch.cuh"

namespace reprise {
namespace {

// Rows are a whole number of 2-byte units in every cache type (18 bytes for 32 values of Q4_0), and
// begin at one.
using Unit = unsigned short;

// One block a row of K or V; out holds the rows of K, then those of V.
__global__ void gather(const Unit* k, const Unit* v, size_t row_units, const int32_t* slots,
                       Unit* out) {
  const Unit* from = (blockIdx.y == 0 ? k : v) + row_units * slots[blockIdx.x];
  Unit* to = out + row_units * (static_cast<size_t>(gridDim.x) * blockIdx.y + blockIdx.x);
  for (size_t i = threadIdx.x; i < row_units; i += blockDim.x) to[i] = from[i];
}

const Unit* units(const std::byte* rows) { return reinterpret_cast<const Unit*>(rows); }

}  // namespace

void cuda_gather_rows(const std::byte* k, const std::byte* v, size_t row_bytes,
                      std::span<const int32_t> slots, std::byte* k_rows, std::byte* v_rows) {
  if (slots.empty()) return;
  use_device_of(k);
  const size_t slot_bytes = sizeof(int32_t) * slots.size();
  const size_t half = row_bytes * slots.size();
  const DeviceBytes scratch(slot_bytes +
                            2 * half);  // one allocation, for it costs more than the rest
  std::byte* out = scratch.get() + slot_bytes;
  copy_to_device(scratch.get(), slots.data(), slot_bytes);
  constexpr unsigned kThreads = 64;
  launch(gather, dim3(static_cast<unsigned>(slots.size()), 2), dim3(kThreads), 0, units(k),
         units(v), row_bytes / sizeof(Unit), reinterpret_cast<const int32_t*>(scratch.get()),
         reinterpret_cast<Unit*>(out));
  check_cuda(cudaGetLastError(), "gathering kept rows");
  copy_to_host(k_rows, out, half);
  copy_to_host(v_rows, out + half, half);
}

}  // namespace reprise
