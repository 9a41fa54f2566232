#include "core/tokenizer.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace reprise {
namespace {

TEST(Tokenizer, GivesTheTextBackAndRefusesBrokenUtf8) {
  const Tokenizer tokenizer = Tokenizer::load(LLAMA_CPP_SOURCE "/models/ggml-vocab-gpt-2.gguf");
  for (const std::string text : {"", "Hello, \u4E16\u754C \U0001F600\n", "<|endoftext|>"}) {
    EXPECT_EQ(tokenizer.detokenize(tokenizer.tokenize(text, false, false)), text);
  }
  EXPECT_EQ(tokenizer.tokenize("<|endoftext|>", false, true),
            std::vector<int32_t>{tokenizer.eos()});
  for (const std::string text : {"\xC3", "a\xFFz", "\xED\xA0\x80"}) {
    EXPECT_THROW(tokenizer.tokenize(text, false, false), Error);
  }
}

}  // namespace
}  // namespace reprise
