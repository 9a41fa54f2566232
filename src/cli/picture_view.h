#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/picture.h"

namespace reprise {

enum class TerminalColors : uint8_t {
  kTrue,  // 24 bits
  k256,   // the cube of 216 colours and the 24 greys of xterm
};

// A picture as lines of a terminal, two rows of pixels a line: each character is an upper half
// block, its own colour above, the background's below. The rows of an odd height end in the
// terminal's own background.
std::vector<std::string> picture_lines(const Picture& picture, TerminalColors colors);

// Shows pictures on standard error, one over the other, with a line of text below: on a terminal
// whose colours may be used; else one line of text a picture.
class PictureWatch {
 public:
  PictureWatch();

  // The widest square picture that the terminal has room for now, in pixels; 0 where none is shown.
  int32_t size() const;
  void show(const Picture& picture, const std::string& text);
  // Without a picture.
  void show(const std::string& text);
  // Takes the picture away but for its text.
  void finish();

 private:
  void clear();

  bool shows_pictures_;
  TerminalColors colors_;
  std::string text_;
  int32_t n_drawn_ = 0;  // lines on the terminal
};

}  // namespace reprise
