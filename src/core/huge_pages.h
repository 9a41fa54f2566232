#pragma once

#include <cstddef>
#include <memory>

namespace reprise {

// Memory in large pages where the system gives any: what is read once per token misses the
// translation of small pages all the time, in a virtual machine twice as dearly.
inline constexpr size_t kHugePageBytes = size_t{2} << 20;

struct FreeHugePages {
  size_t n_bytes = 0;  // of the mapping
  void operator()(std::byte* memory) const;
};
using HugePages = std::unique_ptr<std::byte[], FreeHugePages>;

// n_bytes > 0, zeroed by the system as they are touched, aligned to kHugePageBytes. A mapping of
// its own: what malloc hands out again stands in small pages since its first use. Null when memory
// is short.
HugePages allocate_huge_pages(size_t n_bytes);

// Whether programs that ask for large pages get them.
bool has_huge_pages();

}  // namespace reprise
