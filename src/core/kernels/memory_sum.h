#pragma once

#include <cstddef>
#include <cstdint>

namespace reprise {

// Adds up n_bytes of memory as 64-bit words, the rest of fewer bytes than a word left out: no more
// than reading asks for, with loads as wide as the CPU has and memory asked for ahead, as the
// kernels of decoding do. `first`: aligned to 8 bytes.
uint64_t memory_sum(const std::byte* first, size_t n_bytes);

}  // namespace reprise
