#include "core/huge_pages.h"

#include <sys/mman.h>

#include <cstdlib>
#include <fstream>
#include <string>

namespace reprise {

void FreeHugePages::operator()(std::byte* memory) const { std::free(memory); }

HugePages allocate_huge_pages(size_t n_bytes) {
  const size_t n_all = (n_bytes + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
  HugePages memory(static_cast<std::byte*>(std::aligned_alloc(kHugePageBytes, n_all)));
#if defined(MADV_HUGEPAGE)
  // A wish: a system without large pages gives small ones.
  if (memory != nullptr) madvise(memory.get(), n_all, MADV_HUGEPAGE);
#endif
  return memory;
}

bool has_huge_pages() {
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/enabled");
  std::string choice;
  while (file >> choice)
    if (choice == "[always]" || choice == "[madvise]") return true;
  return false;
}

}  // namespace reprise
