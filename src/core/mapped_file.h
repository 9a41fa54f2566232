#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace reprise {

// A file mapped read-only for the life of this object. Reading where the file has shrunk raises
// SIGBUS: install_sigbus_handler() turns that into one line on standard error and exit code 1.
class MappedFile {
 public:
  // Throws Error when the path cannot be opened, is no regular file, or is empty.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

// Tells the system that these bytes of a mapped file are not needed soon. They stay readable.
void drop_mapped_pages(std::span<const std::byte> bytes);

// Programs call it once at start. The line names the mapped file whose pages vanished; a SIGBUS of
// another origin ends the process as if there were no handler.
void install_sigbus_handler();

}  // namespace reprise
