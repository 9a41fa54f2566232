#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace reprise {

// Writes a file that is complete or absent: into a temporary name beside it, synced, then renamed.
// Throws Error when the disk is full or the folder cannot be written; what stood at `path` before
// stays. A link's target is replaced, not the link; what is no file (/dev/stdout, a pipe) is
// written as it is.
void write_file(const std::string& path, std::span<const std::byte> bytes);

// Refuses at once what write_file() would refuse after the work: throws Error when the folder of
// `path` does not exist or cannot be written.
void check_folder_of(const std::string& path);

// A file that takes its name when it is finished; until then it stands under another one beside it,
// and vanishes with this object.
class UnfinishedFile {
 public:
  // A link's target is replaced, not the link. Throws Error when the folder cannot be written.
  explicit UnfinishedFile(const std::string& path);
  ~UnfinishedFile();
  UnfinishedFile(const UnfinishedFile&) = delete;
  UnfinishedFile& operator=(const UnfinishedFile&) = delete;

  const std::string& temporary() const { return temporary_; }
  int descriptor() const { return descriptor_; }  // open for writing
  // Syncs the file and gives it its name. Throws Error.
  void finish();

 private:
  std::string path_;
  std::string temporary_;
  int descriptor_ = -1;
  bool is_finished_ = false;
};

// All bytes of a file. Throws Error when it cannot be read or is larger than max_bytes.
std::string read_file(const std::string& path, size_t max_bytes);

}  // namespace reprise
