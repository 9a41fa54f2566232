#include "core/counting_new_test.h"

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <new>

namespace {
constinit std::atomic<int64_t> n_allocations = 0;  // malloc comes before any constructor
}  // namespace

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

// The sanitizer has forms of its own for arrays. Apart from the tests, or the compiler would see
// through it and take malloc and delete for a mismatch.
void* operator new(std::size_t n_bytes) {
  ++n_allocations;
  if (void* memory = std::malloc(n_bytes == 0 ? 1 : n_bytes)) return memory;
  throw std::bad_alloc();
}
void* operator new(std::size_t n_bytes, const std::nothrow_t& /*tag*/) noexcept {
  ++n_allocations;
  return std::malloc(n_bytes == 0 ? 1 : n_bytes);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

#else

// A program's own malloc goes before glibc's in shared libraries too, where the linker's --wrap
// does not reach. glibc's is still there under these names, and free() takes its memory.
extern "C" {
void* glibc_malloc(size_t n_bytes) __asm__("__libc_malloc");
void* glibc_calloc(size_t n, size_t n_bytes) __asm__("__libc_calloc");
void* glibc_realloc(void* memory, size_t n_bytes) __asm__("__libc_realloc");
void* glibc_memalign(size_t alignment, size_t n_bytes) __asm__("__libc_memalign");

void* malloc(size_t n_bytes) {
  ++n_allocations;
  return glibc_malloc(n_bytes);
}
void* calloc(size_t n, size_t n_bytes) {
  ++n_allocations;
  return glibc_calloc(n, n_bytes);
}
void* realloc(void* memory, size_t n_bytes) {
  ++n_allocations;
  return glibc_realloc(memory, n_bytes);
}
void* memalign(size_t alignment, size_t n_bytes) {
  ++n_allocations;
  return glibc_memalign(alignment, n_bytes);
}
void* aligned_alloc(size_t alignment, size_t n_bytes) { return memalign(alignment, n_bytes); }
int posix_memalign(void** memory, size_t alignment, size_t n_bytes) {
  if (alignment % sizeof(void*) != 0 || (alignment & (alignment - 1)) != 0) return EINVAL;
  void* got = memalign(alignment, n_bytes);
  if (got == nullptr) return ENOMEM;
  *memory = got;
  return 0;
}
}

#endif

namespace reprise {

int64_t count_allocations() { return n_allocations; }

}  // namespace reprise
