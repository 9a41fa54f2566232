#include "cli/picture_view.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace reprise {
namespace {

constexpr std::string_view kUpperHalf = "▀";
constexpr std::string_view kReset = "\x1b[0m";
constexpr int32_t kSmallest = 16;  // pixels; less shows nothing
constexpr int32_t kLargest = 160;  // more costs the terminal more time than there is

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : value;
}

TerminalColors terminal_colors() {
  const std::string_view colors = variable("COLORTERM");
  const bool is_true =
      colors == "truecolor" || colors == "24bit" || variable("TERM").ends_with("-direct");
  return is_true ? TerminalColors::kTrue : TerminalColors::k256;
}

// xterm's: 16 + 36 r + 6 g + b of these levels, then greys 8, 18, ..., 238 from 232 on.
int32_t nearest_of_256(const uint8_t* rgb) {
  constexpr std::array<int32_t, 6> kLevels = {0, 95, 135, 175, 215, 255};
  std::array<int32_t, 3> index{};
  int32_t cube_error = 0;
  for (size_t c = 0; c < 3; ++c) {
    const auto* const nearest = std::ranges::min_element(
        kLevels, {}, [&](int32_t level) { return std::abs(level - rgb[c]); });
    index[c] = static_cast<int32_t>(nearest - kLevels.begin());
    cube_error += (*nearest - rgb[c]) * (*nearest - rgb[c]);
  }
  const int32_t mean = (rgb[0] + rgb[1] + rgb[2]) / 3;
  const int32_t i_grey = std::clamp((mean - 8 + 5) / 10, 0, 23);
  int32_t grey_error = 0;
  for (size_t c = 0; c < 3; ++c) {
    grey_error += (8 + 10 * i_grey - rgb[c]) * (8 + 10 * i_grey - rgb[c]);
  }
  if (grey_error < cube_error) return 232 + i_grey;
  return 16 + 36 * index[0] + 6 * index[1] + index[2];
}

// The escape code's numbers for a colour behind 38 (text) or 48 (background).
std::string color_code(const uint8_t* rgb, TerminalColors colors) {
  if (colors == TerminalColors::kTrue) return fmt::format("2;{};{};{}", rgb[0], rgb[1], rgb[2]);
  return fmt::format("5;{}", nearest_of_256(rgb));
}

// The text's first n characters: a longer line would be two.
std::string first_characters(std::string_view text, int32_t n) {
  size_t end = 0;
  for (; end < text.size(); ++end) {
    const bool begins_one = (static_cast<unsigned char>(text[end]) & 0xc0U) != 0x80;
    if (begins_one && n-- == 0) break;
  }
  return std::string(text.substr(0, end));
}

winsize terminal_size() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) {
    size.ws_col = 80;
    size.ws_row = 24;
  }
  return size;
}

}  // namespace

std::vector<std::string> picture_lines(const Picture& picture, TerminalColors colors) {
  std::vector<std::string> lines;
  for (int32_t y = 0; y < picture.height; y += 2) {
    std::string line;
    std::string last;
    for (int32_t x = 0; x < picture.width; ++x) {
      const bool has_lower = y + 1 < picture.height;
      std::string code = "\x1b[38;" + color_code(picture.pixel(x, y), colors);
      code += has_lower ? ";48;" + color_code(picture.pixel(x, y + 1), colors) + "m" : "m";
      // Equal neighbours share one code: the terminal has less to read.
      if (code != last) line += code;
      last = std::move(code);
      line += kUpperHalf;
    }
    lines.push_back(line + std::string(kReset));
  }
  return lines;
}

PictureWatch::PictureWatch()
    : shows_pictures_(isatty(STDERR_FILENO) == 1 && variable("NO_COLOR").empty() &&
                      variable("TERM") != "dumb"),
      colors_(terminal_colors()) {}

int32_t PictureWatch::size() const {
  if (!shows_pictures_) return 0;
  const winsize size = terminal_size();
  // Below it stand the text and the cursor.
  const int32_t n = std::min<int32_t>({size.ws_col, 2 * (size.ws_row - 2), kLargest});
  return n >= kSmallest ? n : 0;
}

void PictureWatch::show(const Picture& picture, const std::string& text) {
  text_ = text;
  std::string out;
  const std::vector<std::string> lines = picture_lines(picture, colors_);
  for (const std::string& line : lines) out += line + "\n";
  clear();
  n_drawn_ = static_cast<int32_t>(lines.size()) + 1;
  fmt::print(stderr, "{}{}\n", out, first_characters(text, terminal_size().ws_col));
  std::fflush(stderr);
}

void PictureWatch::show(const std::string& text) {
  clear();
  text_.clear();
  fmt::print(stderr, "{}\n", text);
  std::fflush(stderr);
}

void PictureWatch::clear() {
  if (n_drawn_ == 0) return;
  fmt::print(stderr, "\x1b[{}A\r\x1b[J", n_drawn_);
  n_drawn_ = 0;
}

void PictureWatch::finish() {
  if (n_drawn_ == 0) return;
  clear();
  fmt::print(stderr, "{}\n", text_);
}

}  // namespace reprise
