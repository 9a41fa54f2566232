#include "core/text_table.h"

#include <algorithm>
#include <cassert>

namespace reprise {
namespace {

// Characters of UTF-8 text: bytes that do not continue one.
size_t n_characters(std::string_view text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; }));
}

void append_line(std::string& out, const std::vector<TextTable::Column>& columns,
                 const std::vector<size_t>& widths, const std::vector<std::string>& cells) {
  std::string line;
  for (size_t i = 0; i < cells.size(); ++i) {
    const std::string padding(widths[i] - n_characters(cells[i]), ' ');
    const bool is_left = columns[i].align == TextTable::Align::kLeft;
    line += (i > 0 ? "   " : "") + (is_left ? cells[i] + padding : padding + cells[i]);
  }
  line.erase(line.find_last_not_of(' ') + 1);
  out += line + "\n";
}

}  // namespace

std::vector<std::string> wrap_text(std::string_view text, size_t width) {
  std::vector<std::string> lines = {""};
  while (!text.empty()) {
    const size_t end = text.find_first_of(" |");
    const std::string_view word =
        end == std::string_view::npos ? text : text.substr(0, end + (text[end] == '|' ? 1 : 0));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    std::string& line = lines.back();
    const bool is_glued = line.empty() || line.back() == '|';
    const size_t n_joined = n_characters(line) + (is_glued ? 0 : 1) + n_characters(word);
    if (line.empty() || n_joined <= width) {
      line += std::string(is_glued ? "" : " ") + std::string(word);
    } else {
      lines.emplace_back(word);
    }
  }
  return lines;
}

TextTable::TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {}

void TextTable::add(std::vector<std::string> cells) {
  assert(cells.size() == columns_.size());
  rows_.push_back(std::move(cells));
}

std::string TextTable::text() const {
  std::vector<std::vector<std::string>> lines;
  std::vector<std::string> titles;
  for (const Column& column : columns_) titles.push_back(column.title);
  if (std::ranges::any_of(titles, [](const std::string& t) { return !t.empty(); })) {
    lines.push_back(titles);
  }
  for (const std::vector<std::string>& row : rows_) {
    const size_t first = lines.size();
    for (size_t i = 0; i < row.size(); ++i) {
      const size_t width = columns_[i].max_width == 0 ? std::string::npos : columns_[i].max_width;
      const std::vector<std::string> parts = wrap_text(row[i], width);
      lines.resize(std::max(lines.size(), first + parts.size()),
                   std::vector<std::string>(columns_.size()));
      for (size_t j = 0; j < parts.size(); ++j) lines[first + j][i] = parts[j];
    }
  }
  std::vector<size_t> widths(columns_.size());
  for (const std::vector<std::string>& line : lines) {
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], n_characters(line[i]));
  }
  std::string out;
  for (const std::vector<std::string>& line : lines) append_line(out, columns_, widths, line);
  return out;
}

}  // namespace reprise
