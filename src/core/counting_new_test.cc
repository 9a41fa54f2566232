#include "core/counting_new_test.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<int64_t> n_allocations = 0;
}  // namespace

// The standard's other forms of new end in this one, except those for over-aligned types. Apart
// from the tests, or the compiler would see through it and take malloc and delete for a mismatch.
void* operator new(std::size_t n_bytes) {
  ++n_allocations;
  if (void* memory = std::malloc(n_bytes == 0 ? 1 : n_bytes)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace reprise {

int64_t count_allocations() { return n_allocations; }

}  // namespace reprise
