#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace reprise {

// A table for a terminal: every column as wide as its widest cell, three spaces between them.
class TextTable {
 public:
  enum class Align : uint8_t { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kLeft;
    size_t max_width = 0;  // longer cells go on in the next line; 0: never
  };

  // Without any title there is no line of titles.
  explicit TextTable(std::vector<Column> columns);
  // One cell a column, in UTF-8 of one column a character.
  void add(std::vector<std::string> cells);
  bool is_empty() const { return rows_.empty(); }
  // Ends with a newline; no line ends with a space.
  std::string text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// Lines of at most `width` characters, broken at spaces or behind '|'; a longer word stays whole.
std::vector<std::string> wrap_text(std::string_view text, size_t width);

}  // namespace reprise
