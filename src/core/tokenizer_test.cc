#include "core/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>

#include "core/error.h"
#include "core/gguf_file.h"
#include "support/tiny_vocabulary.h"

namespace reprise {
namespace {

TEST(Tokenizer, GivesTheTextBackAndRefusesBrokenUtf8) {
  const Tokenizer tokenizer =
      Tokenizer::load(GgufFile::open(LLAMA_CPP_SOURCE "/models/ggml-vocab-gpt-2.gguf"));
  for (const std::string text : {"", "Hello, \u4E16\u754C \U0001F600\n", "<|endoftext|>"}) {
    EXPECT_EQ(tokenizer.detokenize(tokenizer.tokenize(text, false, false)), text);
  }
  EXPECT_EQ(tokenizer.tokenize("<|endoftext|>", false, true),
            std::vector<int32_t>{tokenizer.eos()});
  for (const std::string text : {"\xC3", "a\xFFz", "\xED\xA0\x80"}) {
    EXPECT_THROW(tokenizer.tokenize(text, false, false), Error);
  }
}

std::string read(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// llama.cpp keeps texts and their tokens by the original tokenizers beside its vocabularies.
TEST(Tokenizer, EqualsTheRecordedTokens) {
  const std::string separator = "\n__ggml_vocab_test__\n";
  for (const std::string name :
       {"bert-bge", "deepseek-coder", "falcon", "gpt-2", "llama-spm", "phi-3", "refact"}) {
    const std::string path = LLAMA_CPP_SOURCE "/models/ggml-vocab-" + name + ".gguf";
    const Tokenizer tokenizer = Tokenizer::load(GgufFile::open(path));
    const std::string texts = read(path + ".inp");
    std::istringstream wanted(read(path + ".out"));
    int32_t n_texts = 0;
    size_t begin = 0;
    for (std::string line; std::getline(wanted, line); ++n_texts) {
      std::istringstream numbers(line);
      const std::vector<int32_t> want{std::istream_iterator<int32_t>(numbers), {}};
      const size_t end = std::min(texts.find(separator, begin), texts.size());
      EXPECT_EQ(tokenizer.tokenize(texts.substr(begin, end - begin), false, false), want)
          << name << " text " << n_texts;
      begin = std::min(end + separator.size(), texts.size());
    }
    EXPECT_GT(n_texts, 40) << name;
    EXPECT_EQ(begin, texts.size()) << name;
  }
}

// std::regex, which splits words for these, recurses once a character.
TEST(Tokenizer, SplitsALongRowWithoutEndOfStack) {
  for (const char* pre : {"tekken", "deepseek-llm", "default"}) {
    const auto bytes = test::tiny_vocabulary(
        "gpt2", [pre](gguf_context* file) { gguf_set_val_str(file, "tokenizer.ggml.pre", pre); });
    const auto tokenizer = Tokenizer::load(GgufFile::parse("x.gguf", bytes));
    for (const char c : {'a', '-', '7'}) {
      EXPECT_EQ(tokenizer.tokenize(std::string(200'000, c), false, false).size(), 200'000U)
          << pre << " " << c;
    }
  }
}

TEST(Tokenizer, GivesMoreTokensThanBytes) {
  const auto bytes = test::tiny_vocabulary("llama", [](gguf_context* file) {
    auto tokens = test::get_strings(file, "tokenizer.ggml.tokens");
    for (std::string& token : tokens) {
      if (token.starts_with("\u2581")) token += "?";  // no space any more
    }
    test::set_strings(file, "tokenizer.ggml.tokens", tokens);
    gguf_set_val_bool(file, "tokenizer.ggml.add_eos_token", true);
  });
  const auto tokenizer = Tokenizer::load(GgufFile::parse("x.gguf", bytes));
  // BOS, three bytes for each space and for the one in front, EOS.
  EXPECT_EQ(tokenizer.tokenize(std::string(9, ' '), true, false).size(), 32U);
}

TEST(Tokenizer, RefusesTextAbove16Mebibytes) {
  const auto bytes = test::tiny_vocabulary("llama");
  const auto tokenizer = Tokenizer::load(GgufFile::parse("x.gguf", bytes));
  EXPECT_THROW(tokenizer.tokenize(std::string((size_t{16} << 20) + 1, 'a'), false, false), Error);
}

}  // namespace
}  // namespace reprise
