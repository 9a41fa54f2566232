#include "core/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "core/error.h"

namespace reprise {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

[[noreturn]] void refuse(const std::string& path, const char* what) {
  const bool is_full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
  const char* advice = is_full ? "; free some space" : "";
  throw Error(fmt::format("{}: cannot {}: {}{}", path, what, std::strerror(errno), advice));
}

void write_all(const std::string& path, int fd, std::span<const std::byte> bytes) {
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t n = write(fd, bytes.data() + at, bytes.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) refuse(path, "write");
    at += static_cast<size_t>(n);
  }
}

// What a rename has to replace, so that a link stays.
std::string link_target(const std::string& path) {
  std::error_code error;
  const std::filesystem::path target = std::filesystem::canonical(path, error);
  return error ? path : target.string();
}

void replace_file(const std::string& path, std::span<const std::byte> bytes) {
  UnfinishedFile file(path);
  write_all(path, file.descriptor(), bytes);
  file.finish();
}

}  // namespace

UnfinishedFile::UnfinishedFile(const std::string& path)
    : path_(link_target(path)), temporary_(path_ + ".XXXXXX") {
  descriptor_ = mkostemp(temporary_.data(), O_CLOEXEC);
  if (descriptor_ < 0) refuse(path, "write there");
}

UnfinishedFile::~UnfinishedFile() {
  close(descriptor_);
  if (!is_finished_) unlink(temporary_.c_str());
}

void UnfinishedFile::finish() {
  if (fchmod(descriptor_, 0644) != 0 || fsync(descriptor_) != 0) refuse(path_, "write");
  if (rename(temporary_.c_str(), path_.c_str()) != 0) refuse(path_, "rename the finished file");
  is_finished_ = true;
  const std::string folder = std::filesystem::path(path_).parent_path().string();
  const Descriptor parent(open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_CLOEXEC));
  if (parent.get() >= 0) fsync(parent.get());  // best effort: the name may be lost, not the data
}

void write_file(const std::string& path, std::span<const std::byte> bytes) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) return replace_file(path, bytes);
  // A rename would take the place of a link, and of a device.
  if (fs::is_regular_file(status)) return replace_file(path, bytes);
  const Descriptor device(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (device.get() < 0) refuse(path, "write there");
  write_all(path, device.get(), bytes);
}

void check_folder_of(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::is_directory(status)) throw Error(fmt::format("{}: is a folder; name a file", path));
  if (fs::exists(status) && !fs::is_regular_file(status)) return;  // a device: nothing is made
  const fs::path parent = fs::path(link_target(path)).parent_path();
  const std::string folder = parent.empty() ? "." : parent.string();
  if (!fs::is_directory(folder, error)) {
    throw Error(fmt::format("{}: the folder '{}' does not exist; make it first, or name another",
                            path, folder));
  }
  if (access(folder.c_str(), W_OK) != 0) {
    throw Error(
        fmt::format("{}: no file can be made in '{}'; name a folder that is yours", path, folder));
  }
}

std::string read_file(const std::string& path, size_t max_bytes) {
  const Descriptor file(path == "-" ? dup(STDIN_FILENO) : open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) refuse(path, "open");
  std::string bytes;
  char part[1 << 16];
  for (;;) {
    const ssize_t n = read(file.get(), part, sizeof part);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) refuse(path, "read");
    if (n == 0) return bytes;
    bytes.append(part, static_cast<size_t>(n));
    if (bytes.size() > max_bytes) {
      throw Error(
          fmt::format("{}: larger than {} bytes, the most that is read here", path, max_bytes));
    }
  }
}

}  // namespace reprise
