// The fuzz corpus as a test: what the fuzzer once learnt or found holds in every build.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <vector>

#include "core/error.h"
#include "core/gguf_file.h"
#include "core/vocabulary_check.h"
#include "nets/decoder_model.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace reprise {
namespace {

const std::filesystem::path kCorpus = REPRISE_SOURCE_DIR "/tests/fuzz/gguf";

std::vector<uint8_t> bytes_of(const std::filesystem::path& path) {
  std::vector<uint8_t> bytes(std::filesystem::file_size(path));
  std::ifstream(path, std::ios::binary)
      .read(reinterpret_cast<char*>(bytes.data()), static_cast<int64_t>(bytes.size()));
  return bytes;
}

TEST(GgufFileCorpus, GivesAValueOrAnErrorForEveryFile) {
  int32_t n_files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kCorpus)) {
    SCOPED_TRACE(entry.path());
    const std::vector<uint8_t> bytes = bytes_of(entry.path());
    EXPECT_EQ(LLVMFuzzerTestOneInput(bytes.data(), bytes.size()), 0);
    // Every truncation at a few hundred places.
    for (size_t n = 0; n < bytes.size(); n += 1 + bytes.size() / 256)
      EXPECT_EQ(LLVMFuzzerTestOneInput(bytes.data(), n), 0);
    ++n_files;
  }
  EXPECT_GT(n_files, 8);
}

// The seeds are whole: the fuzzer starts behind every check.
TEST(GgufFileCorpus, HoldsWholeModels) {
  for (const char* name : {"llama", "qwen2", "qwen3", "gemma3"}) {
    const std::vector<uint8_t> bytes = bytes_of(kCorpus / (std::string(name) + ".gguf"));
    const auto file =
        std::make_shared<const GgufFile>(GgufFile::parse(name, std::as_bytes(std::span(bytes))));
    EXPECT_NO_THROW(check_vocabulary(*file)) << name;
    EXPECT_NO_THROW(DecoderModel::load(file)) << name;
  }
}

}  // namespace
}  // namespace reprise
