#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace reprise {

// A grammar as far as its checks need it: which rule stands where, and may it be left out. The
// characters themselves are not kept.
struct GrammarItem {
  int32_t rule = -1;   // -1: characters
  uint64_t least = 1;  // repetitions
  uint64_t most = 1;   // kUnlimited: any number
  size_t at = 0;       // offset in the text

  static constexpr uint64_t kUnlimited = UINT64_MAX;
};

struct GrammarRule {
  std::string name;  // of the enclosing named rule for a group in parentheses
  size_t at = 0;     // where it is defined, or first mentioned
  bool is_defined = false;
  std::vector<std::vector<GrammarItem>> alternates;
};

// Reads the text; rules[i] in order of first mention. Throws Error for wrong syntax and for sizes
// beyond the limits.
std::vector<GrammarRule> parse_grammar(std::string_view gbnf);

// Throws Error with the line and column (in characters, from 1) of the offset.
[[noreturn]] void refuse_grammar(std::string_view gbnf, size_t at, std::string_view what);

}  // namespace reprise
