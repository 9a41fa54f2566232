#include "core/deep_stack.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <exception>

#include "core/error.h"

namespace reprise {
namespace {

// Memory for a stack, with a page below it that may not be touched.
class Stack {
 public:
  explicit Stack(size_t n_bytes)
      : page_(static_cast<size_t>(sysconf(_SC_PAGESIZE))),
        size_((n_bytes + page_ - 1) / page_ * page_) {
    base_ = static_cast<std::byte*>(mmap(nullptr, page_ + size_, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK,
                                         -1, 0));
    if (base_ == MAP_FAILED) {
      throw Error(
          fmt::format("a stack of {} bytes cannot be reserved: {}", size_, std::strerror(errno)));
    }
    mprotect(base_, page_, PROT_NONE);
  }
  ~Stack() { munmap(base_, page_ + size_); }
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  std::byte* begin() const { return base_ + page_; }
  size_t size() const { return size_; }

 private:
  size_t page_, size_;
  std::byte* base_;
};

struct Run {
  const std::function<void()>& call;
  std::exception_ptr thrown;
};

void* run(void* argument) {
  auto* self = static_cast<Run*>(argument);
  try {
    self->call();
  } catch (...) {
    self->thrown = std::current_exception();
  }
  return nullptr;
}

}  // namespace

void on_deep_stack(size_t n_bytes, const std::function<void()>& call) {
  const Stack stack(n_bytes);
  Run work{call, nullptr};
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstack(&attributes, stack.begin(), stack.size());
  pthread_t thread;
  const int failed = pthread_create(&thread, &attributes, run, &work);
  pthread_attr_destroy(&attributes);
  if (failed != 0) throw Error(fmt::format("no thread can be started: {}", std::strerror(failed)));
  pthread_join(thread, nullptr);
  if (work.thrown) std::rethrow_exception(work.thrown);
}

}  // namespace reprise
