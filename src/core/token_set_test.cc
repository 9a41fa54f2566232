#include "core/token_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/error.h"
#include "core/gguf_file.h"
#include "core/tokenizer.h"
#include "support/tiny_vocabulary.h"

namespace reprise {
namespace {

constexpr int32_t kNewline = 96;   // of tiny_vocabulary("gpt2"); 0 and 1 are control tokens
constexpr int32_t kMerged = 98;    // made ")\n" below
constexpr int32_t kFullStop = 60;  // made U+3002 below

int32_t id_of(char c) { return 2 + c - '!'; }

const Tokenizer& tokenizer() {
  static const std::vector<std::byte> bytes = test::tiny_vocabulary("gpt2", [](gguf_context* file) {
    const std::string key = "tokenizer.ggml.tokens";
    std::vector<std::string> tokens = test::get_strings(file, key);
    // As GPT-2's alphabet writes these bytes.
    tokens[kMerged] = ")\u010A";
    tokens[kFullStop] = "\u00E3\u0122\u0124";
    test::set_strings(file, key, tokens);
    test::set_strings(file, "tokenizer.ggml.merges", {") \u010A"});
  });
  static const Tokenizer tokenizer = Tokenizer::load(GgufFile::parse("x.gguf", bytes));
  return tokenizer;
}

std::vector<int32_t> ids(std::string_view text) {
  const TokenSet set = TokenSet::parse(text, tokenizer());
  std::vector<int32_t> out;
  for (int32_t id = 0; id < tokenizer().n_vocab(); ++id) {
    if (set.has(id)) out.push_back(id);
  }
  EXPECT_EQ(set.n(), static_cast<int32_t>(out.size())) << text;
  return out;
}

std::string fault_of(std::string_view text) {
  try {
    TokenSet::parse(text, tokenizer());
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(TokenSet, HoldsTheIdsOfAllWords) {
  const TokenSet set(130, {0, 63, 64, 129, 64});
  EXPECT_EQ(set.n(), 4);
  for (int32_t id = 0; id < 130; ++id) {
    EXPECT_EQ(set.has(id), id == 0 || id == 63 || id == 64 || id == 129) << id;
  }
  EXPECT_EQ(TokenSet(1, {}).n(), 0);
}

TEST(TokenSet, RefusesIdsOutsideTheVocabulary) {
  for (const int32_t id : {-1, 64, 1000}) {
    try {
      const TokenSet set(64, {3, id});
      ADD_FAILURE() << id;
    } catch (const Error& error) {
      EXPECT_EQ(error.what(), "token id " + std::to_string(id) +
                                  " is outside the vocabulary of 64 tokens (0..63)");
    }
  }
}

TEST(TokenSet, FindsNamedSetsByTheBytesOfTokens) {
  using ::testing::ElementsAre;
  EXPECT_THAT(ids("newline"), ElementsAre(kNewline, kMerged));
  EXPECT_THAT(ids("newline-exact"), ElementsAre(kNewline));
  EXPECT_THAT(ids("sentence"), ElementsAre(id_of('!'), id_of('.'), id_of('?'), kFullStop));
  EXPECT_THAT(ids("digit"), ElementsAre(17, 18, 19, 20, 21, 22, 23, 24, 25, 26));
}

TEST(TokenSet, JoinsNamesIdsAndTexts) {
  using ::testing::ElementsAre;
  EXPECT_THAT(ids("3"), ElementsAre(3));  // the id: the text '3' is token 20
  EXPECT_THAT(ids("5+5+96"), ElementsAre(5, kNewline));
  EXPECT_THAT(ids(",+."), ElementsAre(id_of(','), id_of('.')));
  EXPECT_THAT(ids("newline+,+12"), ElementsAre(12, id_of(','), kNewline, kMerged));
  EXPECT_THAT(ids("\u3002"), ElementsAre(kFullStop));
  EXPECT_THAT(ids("1"), ElementsAre(1));  // an id may be a control token; the engine refuses those
}

TEST(TokenSet, RefusesWhatIsNoToken) {
  using ::testing::HasSubstr;
  const std::pair<const char*, const char*> cases[] = {
      {"", "token set '': a part is empty"},
      {"+", "a part is empty"},
      {"newline+", "a part is empty"},
      {"99", "token id 99 is outside the vocabulary of 99 tokens (0..98)"},
      {"99999999999", "token id 99999999999 is beyond every vocabulary"},
      {"-1", "none of the 99 tokens is '-1'"},
      {"newlines",
       "token set 'newlines': none of the 99 tokens is 'newlines'; give newline, "
       "newline-exact, sentence, digit, token ids or the texts of single tokens"},
      {"<|im_end|>", "none of the 99 tokens is '<|im_end|>'"},
  };
  for (const auto& [text, why] : cases) EXPECT_THAT(fault_of(text), HasSubstr(why)) << text;
}

TEST(TokenSet, RefusesANamedSetThatTheVocabularyLacks) {
  const auto bytes = test::tiny_vocabulary("bert");  // letters only
  const Tokenizer letters = Tokenizer::load(GgufFile::parse("x.gguf", bytes));
  for (const char* name : {"newline", "newline-exact", "sentence", "digit"}) {
    EXPECT_THROW(TokenSet::parse(name, letters), Error) << name;
  }
}

}  // namespace
}  // namespace reprise
