#pragma once

#include <array>
#include <cstddef>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace reprise {

// Finds the texts of control tokens inside other text.
class ControlTexts {
 public:
  ControlTexts() = default;
  // Empty texts are left out.
  explicit ControlTexts(std::span<const std::string> texts);

  struct Range {
    size_t begin = 0, end = 0;  // bytes, half open
  };
  // Every occurrence in order of its begin, overlapping ones included: which of two overlapping
  // texts a tokenizer would take is its own affair, so none may be left out.
  std::vector<Range> find(std::string_view text) const;

 private:
  std::set<std::string, std::less<>> texts_;
  // Lengths of the texts that start with a byte: thousands of reserved tokens look alike and have
  // few lengths, and most bytes of a prompt start none.
  std::array<std::vector<size_t>, 256> lengths_;
};

}  // namespace reprise
