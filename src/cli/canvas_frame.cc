#include "cli/canvas_frame.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "core/quantities.h"
#include "core/utf8.h"

namespace reprise {
namespace {

using Cell = CanvasFrame::Cell;

constexpr std::string_view kMaskMark = "░";
constexpr std::string_view kEndMark = "∎";
constexpr std::string_view kSpanOpen = "⟦";
constexpr std::string_view kSpanClose = "⟧";
constexpr std::string_view kBetween = " · ";  // parts of the status
constexpr std::string_view kNoCharacter = "\xef\xbf\xbd";

// Escape codes of ECMA-48.
constexpr std::string_view kPlain = "";
constexpr std::string_view kDim = "\x1b[2m";
constexpr std::string_view kNew = "\x1b[1;32m";
constexpr std::string_view kInSpan = "\x1b[33m";
constexpr std::string_view kReset = "\x1b[0m";

// The bytes of the character that `text` (well-formed UTF-8) begins with.
size_t character_size(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

uint32_t code_point(std::string_view character) {
  if (character.size() == 1) return static_cast<unsigned char>(character[0]);
  uint32_t code = static_cast<unsigned char>(character[0]) & (0xffU >> (character.size() + 1));
  for (const char byte : character.substr(1))
    code = code << 6 | (static_cast<unsigned char>(byte) & 0x3fU);
  return code;
}

// Columns of a character on a terminal: two in the wide blocks of Unicode's East Asian Width, none
// for the usual combining marks.
int32_t columns(uint32_t code) {
  constexpr std::array<std::pair<uint32_t, uint32_t>, 10> kWide = {{{0x1100, 0x115f},
                                                                    {0x2e80, 0xa4cf},
                                                                    {0xac00, 0xd7a3},
                                                                    {0xf900, 0xfaff},
                                                                    {0xfe30, 0xfe6f},
                                                                    {0xff00, 0xff60},
                                                                    {0xffe0, 0xffe6},
                                                                    {0x1f300, 0x1f64f},
                                                                    {0x1f900, 0x1f9ff},
                                                                    {0x20000, 0x3fffd}}};
  if ((code >= 0x300 && code <= 0x36f) || code == 0x200b || code == 0x200d ||
      (code >= 0xfe00 && code <= 0xfe0f)) {
    return 0;
  }
  const bool is_wide = std::ranges::any_of(
      kWide, [&](const auto& block) { return code >= block.first && code <= block.second; });
  return is_wide ? 2 : 1;
}

// C0, DEL, C1, and what changes the direction of the text that follows.
bool is_control(uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x202a && code <= 0x202e) ||
         (code >= 0x2066 && code <= 0x2069);
}

// Characters one after the other, wrapped into lines of their own styles.
class Lines {
 public:
  Lines(int32_t width, bool is_colored) : width_(std::max(2, width)), is_colored_(is_colored) {}

  // Well-formed UTF-8.
  void put(std::string_view text, std::string_view style) {
    for (size_t at = 0; at < text.size();) {
      std::string_view character = text.substr(at, character_size(text.substr(at)));
      at += character.size();
      if (character == "\n") {
        break_line();
        continue;
      }
      if (character == "\t") character = " ";
      if (is_control(code_point(character))) character = kNoCharacter;
      const int32_t n = columns(code_point(character));
      if (column_ + n > width_) break_line();
      column_ += n;
      if (is_colored_ && style != style_) {
        lines_.back() += style_.empty() ? "" : kReset;
        lines_.back() += style;
        style_ = style;
      }
      lines_.back() += character;
    }
  }
  int32_t n() const { return static_cast<int32_t>(lines_.size()); }
  std::vector<std::string> take() {
    end_style();
    return std::move(lines_);
  }

 private:
  void end_style() {
    if (!style_.empty()) lines_.back() += kReset;
    style_ = kPlain;
  }
  void break_line() {
    end_style();
    lines_.emplace_back();
    column_ = 0;
  }

  int32_t width_;
  bool is_colored_;
  std::vector<std::string> lines_{""};
  std::string_view style_ = kPlain;
  int32_t column_ = 0;
};

int32_t text_columns(std::string_view text) {
  int32_t n = 0;
  for (size_t at = 0; at < text.size();) {
    const std::string_view character = text.substr(at, character_size(text.substr(at)));
    n += columns(code_point(character));
    at += character.size();
  }
  return n;
}

std::string_view style_of(const Cell& cell, bool is_in_span) {
  switch (cell.kind) {
    case Cell::Kind::kGiven:
    case Cell::Kind::kEnd:
      return kDim;
    case Cell::Kind::kNew:
      return kNew;
    case Cell::Kind::kMasked:
      return is_in_span ? kInSpan : kDim;
    case Cell::Kind::kFilled:
      break;
  }
  return kPlain;
}

}  // namespace

std::string frame_status(const CanvasFrame& frame) {
  const int32_t n = frame.span_n;
  std::string span = fmt::format("{} {}", n, n == 1 ? "position" : "positions");
  switch (frame.reason) {
    case SpanReason::kFixed:
      break;
    case SpanReason::kDelimiter:
      span += fmt::format(" up to a {}", frame.delimiter);
      break;
    case SpanReason::kNoDelimiter:
      span += fmt::format(", no {} ahead", frame.delimiter);
      break;
    case SpanReason::kLowConfidence:
      span += fmt::format(", no {} is sure", frame.delimiter);
      break;
  }
  return fmt::format("pass {} · {} of {} rows · span {}: {} · {} of {} filled · {}", frame.n_passes,
                     format_count(frame.n_rows), format_count(frame.n_canvas), frame.n_spans, span,
                     format_count(frame.n_filled), format_count(frame.n_to_fill),
                     format_seconds(frame.elapsed_s));
}

std::vector<std::string> frame_lines(const CanvasFrame& frame, FrameSize size, bool is_colored) {
  Lines lines(size.width, is_colored);
  Utf8Stream characters;
  int32_t i_span_line = 0;
  bool has_end = false;
  std::string_view style = kPlain;
  const auto n = static_cast<int32_t>(frame.cells.size());
  for (int32_t i = 0; i < n; ++i) {
    const Cell& cell = frame.cells[i];
    const bool is_in_span = i >= frame.span_first && i < frame.span_first + frame.span_n;
    const bool is_text = cell.kind != Cell::Kind::kMasked && cell.kind != Cell::Kind::kEnd;
    // A character that another kind of position cuts off stays one that never was.
    if (!is_text) lines.put(characters.finish(), style);
    style = style_of(cell, is_in_span);
    if (frame.span_n > 0 && i == frame.span_first) {
      lines.put(kSpanOpen, kInSpan);
      i_span_line = lines.n() - 1;
    }
    const bool ends_span = frame.span_n > 0 && i == frame.span_first + frame.span_n - 1;
    // The bracket stands in front of the line break that a span ends with.
    const size_t n_front = ends_span ? std::min(cell.text.find('\n'), cell.text.size()) : 0;
    if (is_text) {
      lines.put(characters.push(std::string_view(cell.text).substr(0, n_front)), style);
      if (ends_span) lines.put(kSpanClose, kInSpan);
      lines.put(characters.push(std::string_view(cell.text).substr(n_front)), style);
      continue;
    }
    if (cell.kind == Cell::Kind::kMasked) {
      lines.put(kMaskMark, style);
    } else if (!std::exchange(has_end, true)) {
      lines.put(kEndMark, style);
    }
    if (ends_span) lines.put(kSpanClose, kInSpan);
  }
  lines.put(characters.finish(), style);
  std::vector<std::string> out = lines.take();
  const int32_t n_most = std::max(1, size.n_lines);
  if (const auto n_text = static_cast<int32_t>(out.size()); n_text > n_most) {
    const int32_t first = std::clamp(i_span_line - n_most / 2, 0, n_text - n_most);
    out.erase(out.begin() + first + n_most, out.end());
    out.erase(out.begin(), out.begin() + first);
  }
  return out;
}

std::vector<std::string> wrapped_status(std::string_view status, int32_t width) {
  Lines lines(width, false);
  int32_t column = 0;
  while (!status.empty()) {
    const std::string_view part = status.substr(0, status.find(kBetween));
    const int32_t n = text_columns(part);
    if (column > 0) {
      const int32_t n_between = text_columns(kBetween);
      const bool is_full = column + n_between + n > width;
      lines.put(is_full ? "\n" : kBetween, kPlain);
      column = is_full ? 0 : column + n_between;
    }
    lines.put(part, kPlain);
    column += n;
    status.remove_prefix(std::min(status.size(), part.size() + kBetween.size()));
  }
  return lines.take();
}

}  // namespace reprise
