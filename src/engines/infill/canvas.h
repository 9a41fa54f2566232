#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace reprise {

// Positions of a canvas that are to be filled, in one run.
struct Gap {
  int32_t first = 0;
  int32_t n = 0;

  int32_t end() const { return first + n; }
  bool operator==(const Gap&) const = default;
};

// A text with masked positions. Every position is a row of the model, masked or not.
struct Canvas {
  std::vector<int32_t> ids;
  std::vector<Gap> gaps;   // from left to right, apart from each other
  bool is_answer = false;  // the one gap is an answer, which may end before its last position

  // An answer of n_answer positions behind the prompt, then n_tail end tokens, as right padding in
  // training left them. Throws Error when the prompt holds the mask.
  static Canvas answer(std::span<const int32_t> prompt, int32_t n_answer, int32_t n_tail,
                       int32_t mask, int32_t end);
  // A text whose masked positions are its gaps. Throws Error when it has none.
  static Canvas with_gaps(std::vector<int32_t> ids, int32_t mask);

  int32_t n() const { return static_cast<int32_t>(ids.size()); }
};

}  // namespace reprise
