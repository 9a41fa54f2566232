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

// All bytes of a file. Throws Error when it cannot be read or is larger than max_bytes.
std::string read_file(const std::string& path, size_t max_bytes);

}  // namespace reprise
