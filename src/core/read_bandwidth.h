#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/backend.h"
#include "core/huge_pages.h"
#include "core/work_parts.h"

namespace reprise {

// How fast a backend's threads read memory: the ceiling of everything that decoding does with
// weights and KV entries. They add up a buffer in large pages, with loads as wide as the CPU has
// and memory asked for ahead (kernels/memory_sum); nothing is computed beside.
class ReadBandwidth {
 public:
  // Of a buffer that no cache serves: twice the last cache, 256 MiB at least, for what was read at
  // its start must be gone when the next pass comes there; but no more than a quarter of the free
  // memory. 0 stands for an unknown size.
  static int64_t buffer_bytes(int64_t last_cache_bytes, int64_t free_bytes);

  // Allocates buffer_bytes() of this machine, or n_bytes, and writes them once. Throws Error when
  // memory is short.
  ReadBandwidth();
  explicit ReadBandwidth(int64_t n_bytes);

  int64_t n_bytes() const { return n_bytes_; }
  // Bytes a second, the best of a few passes: what the machine can do when nobody disturbs it.
  double measure(const Backend& backend);
  // For a report: "over 960 MiB in large pages (last cache: 480 MiB)".
  std::string description() const;

 private:
  static void add_up(ggml_tensor* dst, int ith, int nth, void* self);

  int64_t n_bytes_;  // a multiple of kHugePageBytes
  HugePages bytes_;
  WorkParts parts_;             // of kHugePageBytes
  std::vector<uint64_t> sums_;  // [n_threads], so that no reading can be optimised away
};

}  // namespace reprise
