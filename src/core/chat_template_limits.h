#pragma once

#include <cstddef>

namespace reprise {

// The engine parses and executes by plain recursion and bounds neither loops nor macros; a template
// comes with a foreign model and must not end the process. So its tokens are checked before they
// are parsed, and loops, macros and `call` blocks get a call of ours at the start of their bodies.
// Out of reach, because the engine does them inside one expression: a text repeated without bound
// ('x' * 1000000000), a list or namespace put into itself and then printed, `divisibleby(0)`.
constexpr size_t kMaxTagTokens = 1000;   // of one {{ }} or {% %}: chains of operators recurse
constexpr size_t kMaxTagNesting = 64;    // of ( [ { in one tag
constexpr size_t kMaxBlockNesting = 64;  // of if, elif, for, macro, call, filter and set blocks
constexpr size_t kMaxSteps = 10'000;     // iterations and macro calls, and for each message
constexpr size_t kStepsPerMessage = 64;  // so many more
constexpr size_t kMaxStackBytes = size_t{1} << 20;
constexpr size_t kMaxRange = 100'000;  // as in Jinja's own sandbox

}  // namespace reprise
