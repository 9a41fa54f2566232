#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/safetensors_file.h"

namespace reprise {

// The tensors of a checkpoint folder: of model.safetensors, or of the files that
// model.safetensors.index.json names.
class ShardedSafetensors {
 public:
  // Throws Error, also for a tensor that stands in two files or not where the index says.
  static ShardedSafetensors open(const std::string& folder);

  // By name.
  const std::map<std::string, SafetensorsTensor, std::less<>>& tensors() const { return tensors_; }
  std::span<const std::byte> data(const SafetensorsTensor& tensor) const;

 private:
  void add(SafetensorsFile file);

  std::vector<SafetensorsFile> files_;
  std::map<std::string, SafetensorsTensor, std::less<>> tensors_;
  std::map<std::string, size_t, std::less<>> file_of_;  // tensor to index in files_
};

}  // namespace reprise
