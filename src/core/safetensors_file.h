#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/mapped_file.h"
#include "ggml.h"

namespace reprise {

struct SafetensorsTensor {
  std::string name;
  ggml_type type = GGML_TYPE_F32;  // F32, F16 or BF16
  // As PyTorch orders it, fastest last; empty for one number. A size of 0 is none at all.
  std::vector<int64_t> shape;
  size_t offset = 0;  // of the first byte, from the start of the file
  size_t n_bytes = 0;
};

// A safetensors file, parsed and checked: the header's length and JSON, known types, shapes that
// take the bytes of their ranges, ranges that follow each other without gap or overlap and fill the
// file, no name twice. What the tensors mean is checked by those who know.
// Source: the format's description, https://github.com/huggingface/safetensors.
class SafetensorsFile {
 public:
  // Maps the file read-only. Throws Error: which file and tensor, with its numbers, what to do.
  static SafetensorsFile open(const std::string& path);
  // Parses bytes that stay alive as long as the result; `name` stands in errors.
  static SafetensorsFile parse(std::string name, std::span<const std::byte> bytes);

  const std::string& path() const { return path_; }
  const std::vector<SafetensorsTensor>& tensors() const { return tensors_; }  // by offset
  // What the header says about the file as a whole; texts all.
  const std::map<std::string, std::string, std::less<>>& metadata() const { return metadata_; }
  // nullptr when there is no such tensor.
  const SafetensorsTensor* find(std::string_view name) const;
  // May begin at any address.
  std::span<const std::byte> data(const SafetensorsTensor& tensor) const {
    return bytes_.subspan(tensor.offset, tensor.n_bytes);
  }

 private:
  std::string path_;
  std::shared_ptr<const MappedFile> file_;  // null when the bytes belong to the caller
  std::span<const std::byte> bytes_;
  std::vector<SafetensorsTensor> tensors_;
  std::map<std::string, std::string, std::less<>> metadata_;
  std::map<std::string, size_t, std::less<>> tensor_index_;
};

}  // namespace reprise
