#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/huge_pages.h"
#include "core/mapped_file.h"
#include "ggml.h"

namespace reprise {

// One metadata value. Integers of every width arrive as int64 (uint64 beyond its range is refused),
// floats as double.
using GgufValue = std::variant<int64_t, double, bool, std::string, std::vector<int64_t>,
                               std::vector<double>, std::vector<std::string>>;

struct GgufTensor {
  std::string name;
  ggml_type type = GGML_TYPE_F32;
  int64_t ne[4] = {1, 1, 1, 1};  // ggml order, fastest first
  size_t n_bytes = 0;
  size_t offset = 0;  // of the first byte, from the start of the file
};

// A GGUF file, parsed and checked before ggml or libllama see it: magic, version, counts, string
// and array lengths, duplicate keys and tensors, known types, whole blocks, alignment, and every
// tensor's bytes inside the file. Contents (architecture, vocabulary) are checked by those who know
// them. Source: the GGUF specification, versions 2 and 3.
class GgufFile {
 public:
  // Maps the file read-only. Throws Error: what is wrong, at which byte or name, and what to do.
  static GgufFile open(const std::string& path);
  // Parses bytes that stay alive as long as the result; `name` stands in errors. The fuzz target.
  static GgufFile parse(std::string name, std::span<const std::byte> bytes);
  // Parses the first n_bytes of memory, and keeps it: a model that was put together here.
  static GgufFile parse(std::string name, HugePages memory, size_t n_bytes);

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return bytes_; }
  bool is_mapped() const { return file_ != nullptr; }  // the bytes are pages of a file
  size_t alignment() const { return alignment_; }
  const std::map<std::string, GgufValue, std::less<>>& metadata() const { return metadata_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }

  bool has(std::string_view key) const { return metadata_.find(key) != metadata_.end(); }
  // The value of `key`. Throws Error when it is missing or of another type, naming both.
  int64_t integer(std::string_view key) const;
  double real(std::string_view key) const;  // integers convert
  bool boolean(std::string_view key) const;
  const std::string& string(std::string_view key) const;
  const std::vector<int64_t>& integers(std::string_view key) const;
  const std::vector<double>& reals(std::string_view key) const;
  const std::vector<std::string>& strings(std::string_view key) const;
  // The same, or `fallback` when the key is missing. Throws Error on another type.
  int64_t integer_or(std::string_view key, int64_t fallback) const;
  double real_or(std::string_view key, double fallback) const;
  bool boolean_or(std::string_view key, bool fallback) const;
  std::string string_or(std::string_view key, std::string_view fallback) const;

  // nullptr when there is no such tensor.
  const GgufTensor* find(std::string_view name) const;
  std::span<const std::byte> data(const GgufTensor& tensor) const {
    return bytes_.subspan(tensor.offset, tensor.n_bytes);
  }

 private:
  std::string path_;
  // Both null when the bytes belong to the caller.
  std::shared_ptr<const MappedFile> file_;
  std::shared_ptr<const std::byte[]> memory_;
  std::span<const std::byte> bytes_;
  size_t alignment_ = 32;
  std::map<std::string, GgufValue, std::less<>> metadata_;
  std::vector<GgufTensor> tensors_;
  std::map<std::string, size_t, std::less<>> tensor_index_;
};

}  // namespace reprise
