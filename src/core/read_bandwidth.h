#pragma once

#include <cstdint>
#include <vector>

#include "core/backend.h"

namespace reprise {

// How fast the backend's threads read memory: the ceiling of everything that decoding does with
// weights and KV entries. They add up a buffer that is larger than the caches of ordinary machines;
// nothing is computed beside.
class ReadBandwidth {
 public:
  // n_bytes are allocated and written once. Throws Error when memory is short.
  explicit ReadBandwidth(const Backend& backend, int64_t n_bytes = int64_t{256} << 20);

  // Bytes a second, the best of a few passes: what the machine can do when nobody disturbs it.
  double measure();

 private:
  static void add_up(ggml_tensor* dst, int ith, int nth, void* self);

  GraphArena arena_;
  std::vector<uint64_t> words_;
  std::vector<uint64_t> sums_;  // [n_threads], so that no reading can be optimised away
};

}  // namespace reprise
