#include "core/safetensors_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "core/error.h"

namespace reprise {
namespace {

// The length, the header and n_data zero bytes.
std::string file_of(const std::string& header, size_t n_data, uint64_t n_declared) {
  std::string bytes(sizeof(n_declared), '\0');
  std::memcpy(bytes.data(), &n_declared, sizeof(n_declared));
  return bytes + header + std::string(n_data, '\0');
}
std::string file_of(const std::string& header, size_t n_data) {
  return file_of(header, n_data, header.size());
}

SafetensorsFile parse(const std::string& bytes) {
  return SafetensorsFile::parse("x.safetensors", std::as_bytes(std::span(bytes)));
}

std::string fault_of(const std::string& bytes) {
  try {
    parse(bytes);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

// Two tensors of 24 and 4 bytes, in no order.
const std::string kHeader =
    R"({"__metadata__":{"steps":"9"},"b":{"dtype":"BF16","shape":[2],"data_offsets":[24,28]},)"
    R"("a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}})";

TEST(SafetensorsFile, GivesTensorsByOffset) {
  std::string bytes = file_of(kHeader, 28);
  bytes.back() = 7;
  const SafetensorsFile file = parse(bytes);
  ASSERT_EQ(file.tensors().size(), 2U);
  const SafetensorsTensor& a = file.tensors()[0];
  EXPECT_EQ(a.name, "a");
  EXPECT_EQ(a.type, GGML_TYPE_F32);
  EXPECT_EQ(a.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(file.data(a).size(), 24U);
  const SafetensorsTensor* b = file.find("b");
  ASSERT_EQ(b, &file.tensors()[1]);
  EXPECT_EQ(b->type, GGML_TYPE_BF16);
  EXPECT_EQ(file.data(*b).back(), std::byte{7});
  EXPECT_EQ(file.find("c"), nullptr);
}

TEST(SafetensorsFile, TakesOneNumber) {
  const SafetensorsFile file =
      parse(file_of(R"({"a":{"dtype":"F16","shape":[],"data_offsets":[0,2]}})", 2));
  EXPECT_TRUE(file.tensors().front().shape.empty());
}

// torch.nn.Parameter() without a value: it begins where the next one begins, named before or after.
TEST(SafetensorsFile, TakesTensorsWithoutValues) {
  const SafetensorsFile file = parse(
      file_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
              R"("b":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},)"
              R"("c":{"dtype":"F32","shape":[2147483647,2147483647,0],"data_offsets":[4,4]}})",
              4));
  ASSERT_EQ(file.tensors().size(), 3U);
  EXPECT_EQ(file.tensors()[0].name, "b");
  EXPECT_TRUE(file.data(*file.find("b")).empty());
  EXPECT_TRUE(file.data(*file.find("c")).empty());
  EXPECT_EQ(file.data(*file.find("a")).size(), 4U);
}

// One tensor 'a' with these fields, in a file with n_data bytes of data.
std::string one(const std::string& fields, size_t n_data) {
  return file_of("{\"a\":{" + fields + "}}", n_data);
}

TEST(SafetensorsFile, RefusesHostileFiles) {
  const std::string deep = "{\"a\":" + std::string(100000, '[');
  const std::pair<std::string, std::string> cases[] = {
      {"", "has 0 bytes"},
      {"1234567", "has 7 bytes"},
      {file_of("", 0), "its header has 0"},
      {file_of(kHeader, 28, kHeader.size() + 29), "is no safetensors file or incomplete"},
      {file_of(kHeader, 28, UINT64_MAX), "is no safetensors file or incomplete"},
      {file_of(kHeader, 28, kHeader.size() - 1), "is no JSON"},
      {file_of("[1,2]", 0), "JSON array"},
      {file_of(deep, 0), "more than 64 levels deep"},
      {file_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
               R"("a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
               8),
       "key 'a' stands twice"},
      {file_of(R"({"a":3})", 0), "tensor 'a' has no description"},
      {one(R"("shape":[1],"data_offsets":[0,4])", 4), "has no dtype"},
      {one(R"("dtype":"I64","shape":[1],"data_offsets":[0,8])", 8), "type I64"},
      {one(R"("dtype":3,"shape":[1],"data_offsets":[0,8])", 8), "dtype of the wrong kind, number"},
      {one(R"("dtype":"F32","data_offsets":[0,4])", 4), "has no shape"},
      {one(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])", 4), "has -1 in shape"},
      {one(R"("dtype":"F32","shape":[1.0],"data_offsets":[0,4])", 4), "has 1.0 in shape"},
      {one(R"("dtype":"F32","shape":[0],"data_offsets":[0,4])", 4), "has 4 bytes, expected 0"},
      {one(R"("dtype":"F32","shape":[99999999999],"data_offsets":[0,4])", 4), "impossible size"},
      // 2^62 values: their bytes are 0 modulo 2^64.
      {one(R"("dtype":"F32","shape":[1073741824,1073741824,4],"data_offsets":[0,0])", 0),
       "takes more than the file's 0 bytes"},
      {one(R"("dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4])", 4), "9 dimensions"},
      {one(R"("dtype":"F32","shape":[1],"data_offsets":[0])", 4), "has 1 data_offsets"},
      {one(R"("dtype":"F32","shape":[1],"data_offsets":[4,0])", 4), "bytes 4 to 0 of 4"},
      {one(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])", 3), "bytes 0 to 4 of 3"},
      {one(R"("dtype":"F32","shape":[1],"data_offsets":[18446744073709551612,0])", 4), "bytes 184"},
      {one(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])", 8), "has 4 bytes, expected 8"},
      {one(R"("dtype":"F32","shape":[1],"data_offsets":[4,8])", 8),
       "begins at byte 4, the one before it ends at 0"},
      {one(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])", 5),
       "holds 5 bytes of data, its tensors take 4"},
      {file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
               R"("b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
               8),
       "tensor 'b' begins at byte 4, the one before it ends at 8"},
  };
  for (const auto& [bytes, want] : cases) {
    EXPECT_THAT(fault_of(bytes), testing::StartsWith("x.safetensors: ")) << want;
    EXPECT_THAT(fault_of(bytes), testing::HasSubstr(want));
  }
}

// Any bytes give a value or an Error: whatever else came out would fail the test.
TEST(SafetensorsFile, GivesAValueOrAnErrorForAnyBytes) {
  const std::string whole = file_of(kHeader, 28);
  for (size_t n = 0; n < whole.size(); ++n) EXPECT_NE(fault_of(whole.substr(0, n)), "") << n;
  std::mt19937 rng(5);
  std::uniform_int_distribution<size_t> place(0, whole.size() - 1);
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = whole;
    for (int k = 0; k < 1 + i % 3; ++k) bytes[place(rng)] = static_cast<char>(rng());
    fault_of(bytes);
  }
}

}  // namespace
}  // namespace reprise
