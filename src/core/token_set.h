#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace reprise {

class Tokenizer;

// A set of token ids with a membership test of constant time. Source of the use: AdaBlock,
// arXiv 2509.26432, whose delimiters it holds.
class TokenSet {
 public:
  // Ids outside [0, n_vocab) are refused. Throws Error.
  TokenSet(int32_t n_vocab, const std::vector<int32_t>& ids);
  // The union of the parts of "A+B+...". A part is the name of a set of the vocabulary's tokens,
  // control tokens left out:
  // - "newline": tokens whose bytes hold a line feed (byte pairs merge it with what stands before);
  // - "newline-exact": the line feed alone;
  // - "sentence": tokens that hold . ! ? or their full-width forms;
  // - "digit": tokens that hold a decimal digit 0..9;
  // or the id of a token (digits only: "3" is token 3, not the text), or the whole text of one.
  // Throws Error on an empty part and on a part that is no token.
  static TokenSet parse(std::string_view text, const Tokenizer& tokenizer);

  // id in [0, n_vocab).
  bool has(int32_t id) const { return (bits_[id / 64] >> (id % 64) & 1) != 0; }
  int32_t n() const { return n_; }

 private:
  std::vector<uint64_t> bits_;
  int32_t n_ = 0;
};

}  // namespace reprise
