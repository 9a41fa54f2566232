#pragma once

#include <cstddef>
#include <string_view>

namespace reprise {

inline constexpr size_t kMaxGrammarBytes = 64 * 1024;
inline constexpr int kMaxGrammarDepth = 64;         // parentheses in one another
inline constexpr int kMaxGrammarRepetition = 2000;  // libllama's own limit

// Throws Error, with line and column, unless `gbnf` is a grammar that libllama parses as it was
// meant, in bounded time and memory. libllama prints its complaints with the whole grammar to
// standard error, takes {1,2001} for "at least once", all memory for {3,2} and for some left
// recursions, and exponential time for rules that begin with one another; none of that may reach
// it.
//
// The language is GBNF as llama.cpp's guide describes it, without token elements (<...>), for a
// grammar speaks of text. Refused beyond libllama: rules defined twice, empty or backward character
// sets, and a repetition of a repetition or of what may be empty.
void check_grammar(std::string_view gbnf);

}  // namespace reprise
