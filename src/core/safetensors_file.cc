#include "core/safetensors_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.h"
#include "core/printable.h"
#include "core/strict_json.h"

namespace reprise {
namespace {

using Json = nlohmann::json;

constexpr size_t kLengthBytes = 8;               // of the header's length, little-endian
constexpr uint64_t kMaxHeaderBytes = 100000000;  // as the format's own reader has it
constexpr size_t kMaxTensors = 1 << 18;
constexpr size_t kMaxDims = 8;

struct NamedType {
  std::string_view name;
  ggml_type type;
};
constexpr NamedType kTypes[] = {
    {"F32", GGML_TYPE_F32}, {"F16", GGML_TYPE_F16}, {"BF16", GGML_TYPE_BF16}};

// One tensor's entry in the header.
class Entry {
 public:
  Entry(const std::string& path, const std::string& name, const Json& json)
      : path_(path), name_(name), json_(json) {
    if (!json.is_object()) fail("has no description");
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(
        fmt::format("{}: tensor '{}' {}; fetch the file again", path_, printable(name_), what));
  }

  ggml_type type() const {
    const std::string name = field("dtype", Json::value_t::string).get<std::string>();
    for (const NamedType& known : kTypes)
      if (known.name == name) return known.type;
    throw Error(
        fmt::format("{}: tensor '{}' has type {}, and F32, F16 and BF16 are read; save it in "
                    "one of them",
                    path_, printable(name_), printable(name)));
  }

  std::vector<int64_t> shape() const {
    const Json& sizes = field("shape", Json::value_t::array);
    if (sizes.size() > kMaxDims)
      fail(fmt::format("has {} dimensions, at most {} are read", sizes.size(), kMaxDims));
    std::vector<int64_t> shape;
    for (const Json& size : sizes) {
      const uint64_t n = number(size, "shape");
      if (n > std::numeric_limits<int32_t>::max())
        fail(fmt::format("has an impossible size {}", n));
      shape.push_back(static_cast<int64_t>(n));
    }
    return shape;
  }

  // [begin, end) in the data behind the header.
  std::pair<uint64_t, uint64_t> range() const {
    const Json& offsets = field("data_offsets", Json::value_t::array);
    if (offsets.size() != 2) fail(fmt::format("has {} data_offsets, expected 2", offsets.size()));
    return {number(offsets[0], "data_offsets"), number(offsets[1], "data_offsets")};
  }

 private:
  const Json& field(const char* key, Json::value_t kind) const {
    const auto found = json_.find(key);
    if (found == json_.end()) fail(fmt::format("has no {}", key));
    if (found->type() != kind)
      fail(fmt::format("has a {} of the wrong kind, {}", key, found->type_name()));
    return *found;
  }
  uint64_t number(const Json& value, const char* key) const {
    if (!value.is_number_unsigned())
      fail(fmt::format("has {} in {}, expected an integer from 0", printable(value.dump()), key));
    return value.get<uint64_t>();
  }

  const std::string& path_;
  const std::string& name_;
  const Json& json_;
};

SafetensorsTensor read_tensor(const std::string& path, const std::string& name, const Json& json,
                              size_t n_data_bytes) {
  const Entry entry(path, name, json);
  SafetensorsTensor tensor;
  tensor.name = name;
  tensor.type = entry.type();
  tensor.shape = entry.shape();
  const auto [begin, end] = entry.range();
  if (begin > end || end > n_data_bytes) {
    entry.fail(fmt::format("stands at bytes {} to {} of {}, the file is incomplete or damaged",
                           begin, end, n_data_bytes));
  }
  uint64_t n_bytes = ggml_type_size(tensor.type);
  // A size of 0 is a tensor without values, as PyTorch has them.
  if (std::ranges::find(tensor.shape, 0) != tensor.shape.end()) n_bytes = 0;
  for (const int64_t n : tensor.shape) {
    if (n > 0 && n_bytes > n_data_bytes / static_cast<uint64_t>(n)) {
      entry.fail(fmt::format("of shape {} takes more than the file's {} bytes of data",
                             json["shape"].dump(), n_data_bytes));
    }
    n_bytes *= static_cast<uint64_t>(n);
  }
  if (n_bytes != end - begin) {
    entry.fail(fmt::format("of shape {} has {} bytes, expected {}", json["shape"].dump(),
                           end - begin, n_bytes));
  }
  tensor.offset = begin;
  tensor.n_bytes = n_bytes;
  return tensor;
}

std::map<std::string, std::string, std::less<>> read_metadata(const std::string& path,
                                                              const Json& json) {
  const auto fail = [&] {
    throw Error(fmt::format("{}: __metadata__ is no object of texts; fetch the file again", path));
  };
  if (!json.is_object()) fail();
  std::map<std::string, std::string, std::less<>> metadata;
  for (const auto& [key, value] : json.items()) {
    if (!value.is_string()) fail();
    metadata.emplace(key, value.get<std::string>());
  }
  return metadata;
}

// Ranges in the order of `tensors` must fill the data, as the format demands.
void check_ranges(const std::string& path, const std::vector<SafetensorsTensor>& tensors,
                  size_t n_data_bytes) {
  size_t end = 0;
  for (const SafetensorsTensor& tensor : tensors) {
    if (tensor.offset != end) {
      throw Error(
          fmt::format("{}: tensor '{}' begins at byte {}, the one before it ends at {}; "
                      "fetch the file again",
                      path, printable(tensor.name), tensor.offset, end));
    }
    end += tensor.n_bytes;
  }
  if (end != n_data_bytes) {
    throw Error(fmt::format("{}: holds {} bytes of data, its tensors take {}; fetch the file again",
                            path, n_data_bytes, end));
  }
}

}  // namespace

SafetensorsFile SafetensorsFile::open(const std::string& path) {
  auto file = std::make_shared<const MappedFile>(path);
  SafetensorsFile out = parse(path, file->bytes());
  out.file_ = std::move(file);
  return out;
}

SafetensorsFile SafetensorsFile::parse(std::string name, std::span<const std::byte> bytes) {
  SafetensorsFile out;
  out.path_ = std::move(name);
  out.bytes_ = bytes;
  const std::string& path = out.path_;
  uint64_t n_header = 0;
  for (size_t i = 0; i < kLengthBytes && i < bytes.size(); ++i)
    n_header |= std::to_integer<uint64_t>(bytes[i]) << (8 * i);
  const size_t n_left = bytes.size() - std::min(bytes.size(), kLengthBytes);
  if (n_header < 2 || n_header > std::min<uint64_t>(n_left, kMaxHeaderBytes)) {
    throw Error(
        fmt::format("{}: has {} bytes and says that its header has {}; is no safetensors "
                    "file or incomplete, fetch it again",
                    path, bytes.size(), n_header));
  }
  const std::span<const std::byte> header = bytes.subspan(kLengthBytes, n_header);
  const Json json =
      parse_strict_json(path, {reinterpret_cast<const char*>(header.data()), header.size()});
  if (!json.is_object() || json.size() > kMaxTensors) {
    throw Error(
        fmt::format("{}: the header is a JSON {} of {} values, expected an object of at "
                    "most {}; fetch the file again",
                    path, json.type_name(), json.size(), kMaxTensors));
  }
  const size_t data = kLengthBytes + n_header;
  for (const auto& [key, value] : json.items()) {
    if (key == "__metadata__") {
      out.metadata_ = read_metadata(path, value);
      continue;
    }
    out.tensors_.push_back(read_tensor(path, key, value, bytes.size() - data));
  }
  // Those without a byte before the one that begins where they stand.
  std::ranges::sort(out.tensors_, {}, [](const SafetensorsTensor& tensor) {
    return std::pair(tensor.offset, tensor.n_bytes);
  });
  check_ranges(path, out.tensors_, bytes.size() - data);
  for (SafetensorsTensor& tensor : out.tensors_) {
    tensor.offset += data;
    out.tensor_index_.emplace(tensor.name, &tensor - out.tensors_.data());
  }
  return out;
}

const SafetensorsTensor* SafetensorsFile::find(std::string_view name) const {
  const auto found = tensor_index_.find(name);
  return found == tensor_index_.end() ? nullptr : &tensors_[found->second];
}

}  // namespace reprise
