#include "core/gguf_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>

#include "core/error.h"
#include "core/printable.h"

namespace reprise {
namespace {

// Bounds on what a header makes us allocate, far above real files: 262,144 tokens with their merges
// take 16 MB, a mixture of experts in separate matrices 50,000 tensors. In memory a header grows up
// to eightfold.
constexpr size_t kMaxHeaderBytes = size_t{256} << 20;
constexpr uint64_t kMaxKeys = 1 << 16;
constexpr uint64_t kMaxTensors = 1 << 18;

enum class Type : uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64
};

class Reader {
 public:
  Reader(const std::string& name, std::span<const std::byte> bytes)
      : name_(name),
        bytes_(bytes.first(std::min(bytes.size(), kMaxHeaderBytes))),
        end_(bytes.size() > kMaxHeaderBytes ? "the 256 MiB that a header may take" : "the file") {}

  size_t offset() const { return offset_; }
  size_t left() const { return bytes_.size() - offset_; }

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(fmt::format("{}: {} at byte {}; fetch the file again", name_, what, offset_));
  }

  template <typename T>
  T scalar() {
    if (left() < sizeof(T)) fail(fmt::format("the header ends beyond {}", end_));
    T value;
    std::memcpy(&value, bytes_.data() + offset_, sizeof(T));
    offset_ += sizeof(T);
    return value;
  }

  std::string string() {
    const auto n = scalar<uint64_t>();
    if (n > left()) fail(fmt::format("a string of {} bytes ends beyond {}", n, end_));
    std::string value(reinterpret_cast<const char*>(bytes_.data() + offset_), n);
    offset_ += n;
    return value;
  }

  bool boolean() {
    const auto value = scalar<uint8_t>();
    if (value > 1) fail(fmt::format("a truth value is {}", value));
    return value == 1;
  }

  int64_t u64() {
    const auto value = scalar<uint64_t>();
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      fail("an integer is too large");
    return static_cast<int64_t>(value);
  }

  int64_t integer(Type type) {
    switch (type) {
      case Type::kU8:
        return scalar<uint8_t>();
      case Type::kI8:
        return scalar<int8_t>();
      case Type::kU16:
        return scalar<uint16_t>();
      case Type::kI16:
        return scalar<int16_t>();
      case Type::kU32:
        return scalar<uint32_t>();
      case Type::kI32:
        return scalar<int32_t>();
      case Type::kU64:
        return u64();
      case Type::kI64:
        return scalar<int64_t>();
      case Type::kBool:
        return boolean() ? 1 : 0;
      default:
        fail(fmt::format("unknown value type {}", static_cast<uint32_t>(type)));
    }
  }

  double real(Type type) { return type == Type::kF32 ? scalar<float>() : scalar<double>(); }

  GgufValue value() {
    const auto type = static_cast<Type>(scalar<uint32_t>());
    switch (type) {
      case Type::kString:
        return string();
      case Type::kBool:
        return boolean();
      case Type::kF32:
      case Type::kF64:
        return real(type);
      case Type::kArray:
        return array();
      default:
        return integer(type);
    }
  }

 private:
  template <typename T, typename Read>
  std::vector<T> list(uint64_t n, size_t n_bytes_least, Read read) {
    if (n > left() / n_bytes_least)
      fail(fmt::format("an array of {} values ends beyond {}", n, end_));
    std::vector<T> values;
    values.reserve(n);
    for (uint64_t i = 0; i < n; ++i) values.push_back(read());
    return values;
  }

  GgufValue array() {
    const auto type = static_cast<Type>(scalar<uint32_t>());
    const auto n = scalar<uint64_t>();
    switch (type) {
      case Type::kString:
        return list<std::string>(n, 8, [&] { return string(); });
      case Type::kF32:
        return list<double>(n, 4, [&] { return real(type); });
      case Type::kF64:
        return list<double>(n, 8, [&] { return real(type); });
      case Type::kArray:
        fail("arrays inside arrays are not allowed");
      default:
        return list<int64_t>(n, 1, [&] { return integer(type); });
    }
  }

  const std::string& name_;
  std::span<const std::byte> bytes_;
  std::string_view end_;  // what ends where bytes_ end
  size_t offset_ = 0;
};

GgufTensor read_tensor(Reader& in) {
  GgufTensor tensor;
  tensor.name = in.string();
  if (tensor.name.empty() || tensor.name.size() >= GGML_MAX_NAME)
    in.fail("a tensor name is empty or too long");
  const auto n_dims = in.scalar<uint32_t>();
  if (n_dims < 1 || n_dims > GGML_MAX_DIMS)
    in.fail(fmt::format("tensor '{}' has {} dimensions", printable(tensor.name), n_dims));
  int64_t n_elements = 1;
  for (uint32_t i = 0; i < n_dims; ++i) {
    tensor.ne[i] = in.u64();
    if (tensor.ne[i] <= 0 || tensor.ne[i] > std::numeric_limits<int64_t>::max() / 64 / n_elements) {
      in.fail(fmt::format("tensor '{}' has an impossible size {}", printable(tensor.name),
                          tensor.ne[i]));
    }
    n_elements *= tensor.ne[i];
  }
  const auto type = in.scalar<uint32_t>();
  if (type >= GGML_TYPE_COUNT || ggml_blck_size(static_cast<ggml_type>(type)) <= 0 ||
      ggml_type_size(static_cast<ggml_type>(type)) == 0) {
    in.fail(fmt::format("tensor '{}' has the unknown type {}", printable(tensor.name), type));
  }
  tensor.type = static_cast<ggml_type>(type);
  const int64_t block = ggml_blck_size(tensor.type);
  if (tensor.ne[0] % block != 0) {
    in.fail(fmt::format("tensor '{}': rows of {} values are no whole blocks of {}",
                        printable(tensor.name), tensor.ne[0], block));
  }
  tensor.n_bytes = static_cast<size_t>(n_elements / block) * ggml_type_size(tensor.type);
  tensor.offset = static_cast<size_t>(in.u64());
  return tensor;
}

}  // namespace

GgufFile GgufFile::open(const std::string& path) {
  auto file = std::make_shared<const MappedFile>(path);
  GgufFile gguf = parse(path, file->bytes());
  gguf.file_ = std::move(file);
  return gguf;
}

GgufFile GgufFile::parse(std::string name, HugePages memory, size_t n_bytes) {
  std::shared_ptr<const std::byte[]> shared(std::move(memory));
  GgufFile gguf = parse(std::move(name), {shared.get(), n_bytes});
  gguf.memory_ = std::move(shared);
  return gguf;
}

GgufFile GgufFile::parse(std::string name, std::span<const std::byte> bytes) {
  GgufFile out;
  out.path_ = std::move(name);
  out.bytes_ = bytes;
  Reader in(out.path_, bytes);
  if (bytes.size() < 4 || std::memcmp(bytes.data(), "GGUF", 4) != 0) {
    throw Error(
        fmt::format("{}: is no GGUF file; convert the model, or fetch it again", out.path_));
  }
  in.scalar<uint32_t>();
  const auto version = in.scalar<uint32_t>();
  if (version != 2 && version != 3) {
    throw Error(
        fmt::format("{}: GGUF version {} is not known (2 and 3 are); convert the model again",
                    out.path_, version));
  }
  const auto n_tensors = in.scalar<uint64_t>();
  const auto n_keys = in.scalar<uint64_t>();
  // A tensor takes 24 bytes at least, a key 12.
  if (n_tensors > std::min(kMaxTensors, in.left() / 24) ||
      n_keys > std::min(kMaxKeys, in.left() / 12))
    in.fail(fmt::format("{} tensors and {} keys are too many for the file", n_tensors, n_keys));
  for (uint64_t i = 0; i < n_keys; ++i) {
    std::string key = in.string();
    GgufValue value = in.value();
    if (!out.metadata_.emplace(key, std::move(value)).second)
      in.fail(fmt::format("key '{}' stands twice", printable(key)));
  }
  const int64_t alignment = out.integer_or("general.alignment", 32);
  if (alignment < 1 || alignment > 65536 || (alignment & (alignment - 1)) != 0) {
    throw Error(fmt::format("{}: general.alignment is {}, expected a power of two up to 65536",
                            out.path_, alignment));
  }
  out.alignment_ = static_cast<size_t>(alignment);
  for (uint64_t i = 0; i < n_tensors; ++i) {
    out.tensors_.push_back(read_tensor(in));
    if (!out.tensor_index_.emplace(out.tensors_.back().name, i).second) {
      in.fail(fmt::format("tensor '{}' stands twice", printable(out.tensors_.back().name)));
    }
  }
  const size_t data = (in.offset() + out.alignment_ - 1) / out.alignment_ * out.alignment_;
  for (GgufTensor& tensor : out.tensors_) {
    if (tensor.offset % out.alignment_ != 0) {
      throw Error(
          fmt::format("{}: tensor '{}' starts at {}, no multiple of {}; convert the model again",
                      out.path_, printable(tensor.name), tensor.offset, out.alignment_));
    }
    const size_t size = bytes.size();
    const size_t room =
        data <= size && tensor.offset <= size - data ? size - data - tensor.offset : 0;
    if (tensor.n_bytes > room) {
      throw Error(fmt::format(
          "{}: tensor '{}' ends beyond the file of {} bytes; the download is probably incomplete, "
          "fetch it again",
          out.path_, printable(tensor.name), size));
    }
    tensor.offset += data;
  }
  return out;
}

namespace {

template <typename T>
const T& get(const GgufFile& file, std::string_view key, const char* kind) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end()) {
    throw Error(
        fmt::format("{}: metadata key '{}' is missing; convert the model again", file.path(), key));
  }
  const T* value = std::get_if<T>(&found->second);
  if (value == nullptr) {
    throw Error(fmt::format("{}: metadata key '{}' is not {}; convert the model again", file.path(),
                            key, kind));
  }
  return *value;
}

}  // namespace

int64_t GgufFile::integer(std::string_view key) const {
  return get<int64_t>(*this, key, "an integer");
}
double GgufFile::real(std::string_view key) const {
  const auto found = metadata_.find(key);
  if (found != metadata_.end() && std::holds_alternative<int64_t>(found->second)) {
    return static_cast<double>(std::get<int64_t>(found->second));
  }
  return get<double>(*this, key, "a number");
}
bool GgufFile::boolean(std::string_view key) const {
  return get<bool>(*this, key, "a truth value");
}
const std::string& GgufFile::string(std::string_view key) const {
  return get<std::string>(*this, key, "a string");
}
const std::vector<int64_t>& GgufFile::integers(std::string_view key) const {
  return get<std::vector<int64_t>>(*this, key, "a list of integers");
}
const std::vector<double>& GgufFile::reals(std::string_view key) const {
  return get<std::vector<double>>(*this, key, "a list of numbers");
}
const std::vector<std::string>& GgufFile::strings(std::string_view key) const {
  return get<std::vector<std::string>>(*this, key, "a list of strings");
}
int64_t GgufFile::integer_or(std::string_view key, int64_t fallback) const {
  return has(key) ? integer(key) : fallback;
}
double GgufFile::real_or(std::string_view key, double fallback) const {
  return has(key) ? real(key) : fallback;
}
bool GgufFile::boolean_or(std::string_view key, bool fallback) const {
  return has(key) ? boolean(key) : fallback;
}
std::string GgufFile::string_or(std::string_view key, std::string_view fallback) const {
  return has(key) ? string(key) : std::string(fallback);
}

const GgufTensor* GgufFile::find(std::string_view name) const {
  const auto found = tensor_index_.find(name);
  return found == tensor_index_.end() ? nullptr : &tensors_[found->second];
}

}  // namespace reprise
