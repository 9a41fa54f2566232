#include "core/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "core/error.h"

namespace reprise {
namespace {

// What the handler knows of one mapped file. A signal may come at any moment: the fields are
// written before `begin` is, and the table never moves.
struct Mapping {
  std::atomic<bool> is_taken{false};
  std::atomic<const std::byte*> begin{nullptr};
  size_t size = 0;
  std::array<char, 512> path{};
  size_t path_size = 0;
};
std::array<Mapping, 256> mappings;
std::atomic_flag is_told;  // by the first of the threads that met the hole

// Beyond 256 files at once the handler does not know the file, and the signal ends the process.
void remember(std::span<const std::byte> bytes, const std::string& path) {
  for (Mapping& mapping : mappings) {
    if (mapping.is_taken.exchange(true)) continue;
    mapping.size = bytes.size();
    mapping.path_size = std::min(path.size(), mapping.path.size());
    std::copy_n(path.data(), mapping.path_size, mapping.path.data());
    mapping.begin.store(bytes.data(), std::memory_order_release);
    return;
  }
}

void forget(std::span<const std::byte> bytes) {
  for (Mapping& mapping : mappings) {
    if (mapping.begin.load() != bytes.data()) continue;
    mapping.begin.store(nullptr);
    mapping.is_taken.store(false);
    return;
  }
}

// Only calls that POSIX allows in a handler.
void on_sigbus(int signal, siginfo_t* info, void* /*context*/) {
  const auto* at = static_cast<const std::byte*>(info->si_addr);
  for (const Mapping& mapping : mappings) {
    const std::byte* begin = mapping.begin.load(std::memory_order_acquire);
    const bool is_fault = info->si_code > 0;  // and no kill()
    if (!is_fault || begin == nullptr || at < begin || at >= begin + mapping.size) continue;
    while (is_told.test_and_set()) pause();  // the first one ends the process
    const auto print = [](std::string_view text) {
      [[maybe_unused]] const ssize_t n = write(STDERR_FILENO, text.data(), text.size());
    };
    print("reprise: ");
    print({mapping.path.data(), mapping.path_size});
    print(": changed or shrank while it was read; fetch it again\n");
    _exit(1);
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

}  // namespace

MappedFile::MappedFile(const std::string& path) {
  // O_NONBLOCK: a pipe must not wait for its writer before it is refused.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) throw Error(fmt::format("{}: cannot be opened: {}", path, std::strerror(errno)));
  struct stat info {};
  const bool is_file = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  if (!is_file || info.st_size == 0) {
    close(fd);
    throw Error(fmt::format("{}: {}", path,
                            is_file ? "the file is empty; fetch it again" : "is no regular file"));
  }
  const auto size = static_cast<size_t>(info.st_size);
  void* base = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  const int failure = errno;
  close(fd);
  if (base == MAP_FAILED) {
    throw Error(failure == ENOMEM
                    ? fmt::format("{}: out of memory: the address space has no room for a file of "
                                  "{} bytes; take a smaller model, or raise the limit (ulimit -v)",
                                  path, size)
                    : fmt::format("{}: cannot be mapped: {}", path, std::strerror(failure)));
  }
  bytes_ = {static_cast<const std::byte*>(base), size};
  remember(bytes_, path);
}

MappedFile::~MappedFile() {
  forget(bytes_);
  munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

void drop_mapped_pages(std::span<const std::byte> bytes) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const size_t n_skipped = (page - reinterpret_cast<uintptr_t>(bytes.data()) % page) % page;
  if (bytes.size() < n_skipped + page) return;  // no whole page
  const std::span<const std::byte> pages = bytes.subspan(n_skipped);
  madvise(const_cast<std::byte*>(pages.data()), pages.size() / page * page, MADV_DONTNEED);
}

void install_sigbus_handler() {
  struct sigaction action {};
  action.sa_sigaction = on_sigbus;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGBUS, &action, nullptr);
}

}  // namespace reprise
