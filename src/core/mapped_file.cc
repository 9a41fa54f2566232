#include "core/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "core/error.h"

namespace reprise {

MappedFile::MappedFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
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
  close(fd);
  if (base == MAP_FAILED)
    throw Error(fmt::format("{}: cannot be mapped: {}", path, std::strerror(errno)));
  bytes_ = {static_cast<const std::byte*>(base), size};
}

MappedFile::~MappedFile() { munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size()); }

void install_sigbus_handler() {
  struct sigaction action {};
  action.sa_handler = [](int) {
    constexpr char kMessage[] =
        "reprise: a mapped file changed or shrank while it was read; fetch it again\n";
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kMessage, sizeof(kMessage) - 1);
    _exit(1);
  };
  sigaction(SIGBUS, &action, nullptr);
}

}  // namespace reprise
