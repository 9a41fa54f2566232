#pragma once

#include <cstddef>
#include <memory>

#include "core/huge_pages.h"

namespace reprise {

// Memory of the CPU for the blocks of one KV cache, side by side in areas of large pages: a token
// reads them all, and the blocks of a small budget are smaller than one large page. Not
// thread-safe.
class KvAreas {
 public:
  // The address space of an area for blocks that do not need more; its pages come as they are
  // touched.
  static constexpr size_t kAreaBytes = size_t{32} << 20;

  // n_bytes > 0 at the start of a page. Whoever drops them gives their pages back to the
  // system at once, and the area itself with the last of its blocks. Null when memory is short. May
  // outlive this object.
  std::shared_ptr<std::byte> take(size_t n_bytes);

 private:
  std::shared_ptr<HugePages> area_;  // that is being filled; null: none yet
  size_t n_area_bytes_ = 0;
  size_t n_taken_ = 0;  // of it, whole pages
};

}  // namespace reprise
