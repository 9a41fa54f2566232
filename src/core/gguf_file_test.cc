#include "core/gguf_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "core/error.h"

namespace reprise {
namespace {

// Bytes of a file with one key and one tensor, each part of which a test may break.
class Bytes {
 public:
  template <typename T>
  Bytes& add(T value) {
    const size_t at = bytes_.size();
    bytes_.resize(at + sizeof(T));
    std::memcpy(bytes_.data() + at, &value, sizeof(T));
    return *this;
  }
  Bytes& text(std::string_view value) {
    add<uint64_t>(value.size());
    for (const char c : value) add(c);
    return *this;
  }
  Bytes& header(uint64_t n_tensors, uint64_t n_keys) {
    for (const char c : std::string_view("GGUF")) add(c);
    return add<uint32_t>(3).add(n_tensors).add(n_keys);
  }
  Bytes& pad(size_t alignment) {
    while (bytes_.size() % alignment != 0) add<char>(0);
    return *this;
  }
  std::span<const std::byte> get() const { return std::as_bytes(std::span(bytes_)); }

 private:
  std::vector<char> bytes_;
};

Bytes whole_file() {
  Bytes b;
  b.header(1, 1).text("a.key").add<uint32_t>(4).add<uint32_t>(7);
  b.text("w").add<uint32_t>(1).add<uint64_t>(4).add<uint32_t>(GGML_TYPE_F32).add<uint64_t>(0);
  b.pad(32);
  for (const float x : {1.0F, 2.0F, 3.0F, 4.0F}) b.add(x);
  return b;
}

TEST(GgufFile, ReadsMetadataAndTensors) {
  const Bytes b = whole_file();
  const GgufFile file = GgufFile::parse("x.gguf", b.get());
  EXPECT_EQ(file.integer("a.key"), 7);
  EXPECT_EQ(file.integer_or("other", 3), 3);
  ASSERT_NE(file.find("w"), nullptr);
  EXPECT_EQ(file.data(*file.find("w")).size(), 16U);
  EXPECT_THROW(file.string("a.key"), Error);
  EXPECT_THROW(file.integer("other"), Error);
}

TEST(GgufFile, RefusesEveryTruncation) {
  const Bytes b = whole_file();
  for (size_t n = 0; n < b.get().size(); ++n) {
    EXPECT_THROW(GgufFile::parse("x.gguf", b.get().first(n)), Error) << n << " bytes";
  }
}

std::string fault_of(std::span<const std::byte> bytes) {
  try {
    GgufFile::parse("x.gguf", bytes);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(GgufFile, ShowsNoNameRaw) {
  Bytes b;
  b.header(0, 2);
  for (int i = 0; i < 2; ++i) b.text("\x1B[2J\n").add<uint32_t>(4).add<uint32_t>(7);
  EXPECT_THAT(fault_of(b.get()), testing::HasSubstr("key '\\x1B[2J\\x0A' stands twice"));
}

// Every one of them fits into the file; in memory it would take eight times as much and more.
TEST(GgufFile, BoundsWhatAHeaderAllocates) {
  Bytes keys;
  keys.header(0, (1 << 16) + 1);
  std::vector<std::byte> bytes(size_t{300} << 20);
  std::copy(keys.get().begin(), keys.get().end(), bytes.begin());
  EXPECT_THAT(fault_of(bytes), testing::HasSubstr("0 tensors and 65537 keys are too many"));
  Bytes array;
  array.header(0, 1).text("k").add<uint32_t>(9).add<uint32_t>(0).add<uint64_t>(size_t{299} << 20);
  std::copy(array.get().begin(), array.get().end(), bytes.begin());
  EXPECT_THAT(fault_of(bytes),
              testing::HasSubstr("ends beyond the 256 MiB that a header may take"));
}

TEST(GgufFile, RefusesCountsBeyondTheFile) {
  Bytes b;
  b.header(uint64_t{1} << 60, 0);
  EXPECT_THROW(GgufFile::parse("x.gguf", b.get()), Error);
  Bytes array;
  array.header(0, 1).text("k").add<uint32_t>(9).add<uint32_t>(4).add<uint64_t>(uint64_t{1} << 62);
  EXPECT_THROW(GgufFile::parse("x.gguf", array.get()), Error);
}

}  // namespace
}  // namespace reprise
