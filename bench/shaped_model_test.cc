#include "shaped_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "core/error.h"
#include "core/mapped_file.h"
#include "engines/generate/libllama_peer.h"
#include "engines/generate/sequence.h"
#include "engines/text_model.h"
#include "policies/registry.h"
#include "support/tiny_chat_model.h"

namespace reprise {
namespace {

using ::testing::HasSubstr;

int64_t n_weights(const ModelShape& shape) {
  int64_t n = 0;
  for (const ShapedTensor& tensor : shaped_tensors(shape, GGML_TYPE_F16, 0))
    n += tensor.ne0 * tensor.ne1;
  return n;
}

// The models' published parameter counts less their embeddings: 494,032,768 - 151,936 x 896 and
// 1,235,814,400 - 128,256 x 2,048.
TEST(ShapedModel, ShapesHaveThePublishedSizes) {
  EXPECT_EQ(n_weights(model_shape("qwen2.5-0.5b")), 357'898'112);
  EXPECT_EQ(n_weights(model_shape("llama-3.2-1b")), 973'146'112);
}

TEST(ShapedModel, RefusesAnUnknownShape) {
  try {
    model_shape("qwen");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("no shape 'qwen'; there are qwen2.5-0.5b, llama-3.2-1b"));
  }
}

class ShapedModelFile : public ::testing::Test {
 protected:
  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("reprise_shaped_" + std::to_string(getpid()));
  std::string vocabulary_ = (folder_ / "vocabulary.gguf").string();
  std::string path_ = (folder_ / "shaped.gguf").string();

  void SetUp() override {
    std::filesystem::create_directory(folder_);
    test::write_tiny_model(test::tiny_chat_model({}), vocabulary_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  static ModelShape tiny(const std::string& arch) {
    return {"tiny", arch, 64, 2, 96, 4, 2, 16, 256, 1e4F, 1e-5F};
  }
};

TEST_F(ShapedModelFile, BothRuntimesReadTheSameModel) {
  for (const char* arch : {"llama", "qwen2"}) {
    for (const ggml_type type : {GGML_TYPE_F16, GGML_TYPE_Q4_0}) {
      write_shaped_model(tiny(arch), type, vocabulary_, path_);
      const std::shared_ptr<const TextModel> model = TextModel::load(path_);
      const std::vector<int32_t> tokens = model->tokenizer.tokenize("hello, hello", false, false);
      ASSERT_GT(tokens.size(), 3U);
      const Backend backend(1);
      Sequence sequence(model->decoder, backend, make_kv_policy("full"));
      const std::vector<int32_t> prompt(tokens.begin(), tokens.end() - 1);
      sequence.prefill(prompt, {});
      const std::span<const float> ours = sequence.decode(tokens.back());
      LibllamaPeer peer(path_, {.n_threads = 1, .n_ctx = 256});
      const std::span<const float> theirs = peer.extend(tokens);
      ASSERT_EQ(ours.size(), theirs.size());
      double difference = 0;
      double size = 0;
      for (size_t i = 0; i < ours.size(); ++i) {
        ASSERT_TRUE(std::isfinite(ours[i]));
        difference += std::pow(ours[i] - theirs[i], 2);
        size += std::pow(theirs[i], 2);
      }
      // Roundings of activations to 8 bits (2^-8 of a block's largest each) in some 14 products
      // one behind the other; a model of other weights would differ by 1.4 of its size.
      EXPECT_LT(std::sqrt(difference / size), 14 * 0x1p-8) << arch << ggml_type_name(type);
      EXPECT_GT(size, 0);
    }
  }
}

TEST_F(ShapedModelFile, IsTheSameEveryTimeAndCompleteOrAbsent) {
  write_shaped_model(tiny("llama"), GGML_TYPE_Q4_0, vocabulary_, path_);
  const std::string other = (folder_ / "other.gguf").string();
  write_shaped_model(tiny("llama"), GGML_TYPE_Q4_0, vocabulary_, other);
  const MappedFile a(path_);
  const MappedFile b(other);
  EXPECT_TRUE(std::ranges::equal(a.bytes(), b.bytes()));
  const std::string nowhere = (folder_ / "none" / "x.gguf").string();
  EXPECT_THROW(write_shaped_model(tiny("llama"), GGML_TYPE_F16, vocabulary_, nowhere), Error);
  EXPECT_THROW(write_shaped_model(tiny("llama"), GGML_TYPE_F16, nowhere, path_), Error);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 3);
}

}  // namespace
}  // namespace reprise
