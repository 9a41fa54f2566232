#include "core/grammar.h"

#include <gtest/gtest.h>

#include <limits>
#include <set>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/gguf_file.h"

namespace reprise {
namespace {

constexpr float kRefused = -std::numeric_limits<float>::infinity();

const Tokenizer& gpt2() {
  static const Tokenizer tokenizer =
      Tokenizer::load(GgufFile::open(LLAMA_CPP_SOURCE "/models/ggml-vocab-gpt-2.gguf"));
  return tokenizer;
}
const Tokenizer& spm() {
  static const Tokenizer tokenizer =
      Tokenizer::load(GgufFile::open(LLAMA_CPP_SOURCE "/models/ggml-vocab-llama-spm.gguf"));
  return tokenizer;
}

std::set<std::string> allowed_pieces(Grammar& grammar, const Tokenizer& tokenizer) {
  std::vector<float> logits(tokenizer.n_vocab(), 0.5F);
  const int32_t n_allowed = grammar.mask(logits);
  std::set<std::string> pieces;
  int32_t n_found = 0;
  for (int32_t token = 0; token < tokenizer.n_vocab(); ++token) {
    EXPECT_EQ(grammar.allows(token), logits[token] != kRefused) << token;
    if (logits[token] == kRefused) continue;
    EXPECT_EQ(logits[token], 0.5F);
    pieces.insert(tokenizer.is_end(token) ? "END" : tokenizer.piece(token));
    ++n_found;
  }
  EXPECT_EQ(n_found, n_allowed);
  return pieces;
}

// Pieces of the vocabulary that is_text finds good.
template <typename Test>
std::set<std::string> pieces_where(const Tokenizer& tokenizer, Test is_text) {
  std::set<std::string> pieces;
  for (int32_t token = 0; token < tokenizer.n_vocab(); ++token) {
    const std::string piece = tokenizer.piece(token);
    if (!piece.empty() && is_text(piece)) pieces.insert(piece);
  }
  return pieces;
}

TEST(Grammar, AllowsWhatContinuesAText) {
  Grammar grammar("root ::= [0-9]+ \"!\"", gpt2());
  const auto is_number = [](const std::string& piece) {
    const size_t n = piece.find_first_not_of("0123456789");
    return n != 0 && (n == std::string::npos || piece.substr(n) == "!");
  };
  const auto numbers = pieces_where(gpt2(), is_number);
  EXPECT_GT(numbers.size(), 900U);
  EXPECT_EQ(allowed_pieces(grammar, gpt2()), numbers);
  grammar.accept(gpt2().tokenize("12", false, false)[0]);
  auto after = numbers;
  after.insert("!");
  EXPECT_EQ(allowed_pieces(grammar, gpt2()), after);
  grammar.accept(gpt2().tokenize("!", false, false)[0]);
  EXPECT_EQ(allowed_pieces(grammar, gpt2()), std::set<std::string>{"END"});
}

TEST(Grammar, AllowsTheEndBesideMoreWhenBothFit) {
  Grammar grammar("root ::= \"q\"*", gpt2());
  EXPECT_EQ(allowed_pieces(grammar, gpt2()), [] {
    auto pieces = pieces_where(gpt2(), [](const std::string& piece) {
      return piece.find_first_not_of('q') == std::string::npos;
    });
    pieces.insert("END");
    return pieces;
  }());
}

TEST(Grammar, FollowsACharacterOverSeveralTokens) {
  Grammar grammar("root ::= \"\u20AC\"", spm());
  const std::vector<std::string> bytes = {"\xE2", "\x82", "\xAC"};
  for (size_t i = 0; i < bytes.size(); ++i) {
    auto want = std::set<std::string>{bytes[i]};
    if (i == 0) want.insert("\u20AC");  // the vocabulary has it whole, too
    ASSERT_EQ(allowed_pieces(grammar, spm()), want);
    for (int32_t token = 0; token < spm().n_vocab(); ++token) {
      if (spm().piece(token) == bytes[i]) {
        grammar.accept(token);
        break;
      }
    }
  }
  EXPECT_EQ(allowed_pieces(grammar, spm()), std::set<std::string>{"END"});
}

TEST(Grammar, NeverAllowsASilentToken) {
  ASSERT_EQ(spm().piece(spm().bos()), "");
  Grammar grammar("root ::= \"<s>\"", spm());
  EXPECT_FALSE(grammar.allows(spm().bos()));
  for (const std::string& piece : allowed_pieces(grammar, spm())) {
    EXPECT_TRUE(std::string("<s>").starts_with(piece)) << piece;
  }
}

TEST(Grammar, RefusesForeignTokens) {
  Grammar grammar("root ::= \"a\"", gpt2());
  EXPECT_THROW(grammar.accept(-1), Error);
  EXPECT_THROW(grammar.accept(gpt2().n_vocab()), Error);
  EXPECT_THROW(grammar.accept(gpt2().eos()), Error);
  EXPECT_THROW(grammar.accept(gpt2().tokenize("b", false, false)[0]), Error);
  grammar.accept(gpt2().tokenize("a", false, false)[0]);  // still where it was
  grammar.accept(gpt2().eos());
}

TEST(Grammar, NamesTheFirstAllowedCandidate) {
  Grammar grammar("root ::= \"b\" | \"c\"", gpt2());
  const auto token = [](const char* text) { return gpt2().tokenize(text, false, false)[0]; };
  const Candidate candidates[] = {{token("a"), 9, 0}, {token("c"), 8, 0}, {token("b"), 7, 0}};
  EXPECT_EQ(grammar.first_allowed(candidates), token("c"));
  EXPECT_EQ(grammar.first_allowed(std::span(candidates).first(1)), -1);
  EXPECT_EQ(grammar.first_allowed({}), -1);
}

}  // namespace
}  // namespace reprise
