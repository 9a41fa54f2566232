#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "policies/span/span_policy.h"

namespace reprise {

// What `--watch` shows after one pass of a diffusion language model.
struct CanvasFrame {
  // One position.
  struct Cell {
    enum class Kind : uint8_t {
      kGiven,   // prompt, or text around gaps
      kFilled,  // by an earlier pass
      kNew,     // by this pass
      kMasked,
      kEnd,  // the token that ends an answer
    };
    Kind kind = Kind::kMasked;
    std::string text;  // bytes of the token, maybe a part of a character; of the first three kinds
  };
  std::vector<Cell> cells;
  int32_t span_first = 0;  // of the span that the pass belongs to, in cells
  int32_t span_n = 0;

  int32_t n_passes = 0;  // so far, this one included
  int32_t n_rows = 0;    // computed by the pass, of n_canvas
  int32_t n_canvas = 0;
  int32_t n_spans = 0;  // so far, this one included
  SpanReason reason = SpanReason::kFixed;
  std::string_view delimiter = "line break";  // what the span policy calls one
  int32_t n_filled = 0;                       // of n_to_fill positions
  int32_t n_to_fill = 0;
  double elapsed_s = 0;
};

struct FrameSize {
  int32_t width = 80;     // columns
  int32_t n_lines = 200;  // at most
};

// The text with a shade for every masked position and brackets around the span, wrapped at the
// width. A longer one is cut to the lines around the span. Control characters are shown as U+FFFD,
// so that no text drives the terminal; line breaks are breaks. `is_colored` puts in escape codes,
// none of which leaves its line.
std::vector<std::string> frame_lines(const CanvasFrame& frame, FrameSize size, bool is_colored);

// "pass 12 · 16 of 384 rows · span 3: 21 positions up to a line break · 57 of 128 filled · 0.4 s"
std::string frame_status(const CanvasFrame& frame);
// The same in lines of at most `width` columns, broken between its parts where they allow it.
std::vector<std::string> wrapped_status(std::string_view status, int32_t width);

}  // namespace reprise
