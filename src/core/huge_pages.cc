#include "core/huge_pages.h"

#include <sys/mman.h>

#include <cstdint>
#include <fstream>
#include <string>

namespace reprise {

void FreeHugePages::operator()(std::byte* memory) const { munmap(memory, n_bytes); }

HugePages allocate_huge_pages(size_t n_bytes) {
  const size_t n_all = (n_bytes + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
  void* mapped = mmap(nullptr, n_all + kHugePageBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  // Mappings begin at any small page: what stands before and behind the aligned bytes goes back.
  auto* const first = static_cast<std::byte*>(mapped);
  const size_t n_past = reinterpret_cast<uintptr_t>(first) % kHugePageBytes;
  const size_t n_before = (kHugePageBytes - n_past) % kHugePageBytes;
  if (n_before > 0) munmap(first, n_before);
  std::byte* const memory = first + n_before;
  munmap(memory + n_all, kHugePageBytes - n_before);
#if defined(MADV_HUGEPAGE)
  madvise(memory, n_all, MADV_HUGEPAGE);  // a wish: a system without large pages gives small ones
#endif
  return HugePages(memory, FreeHugePages{n_all});
}

bool has_huge_pages() {
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/enabled");
  std::string choice;
  while (file >> choice)
    if (choice == "[always]" || choice == "[madvise]") return true;
  return false;
}

}  // namespace reprise
