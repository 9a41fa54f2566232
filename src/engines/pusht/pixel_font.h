#pragma once

#include <cstdint>
#include <string_view>

#include "engines/pusht/shape_painter.h"

namespace reprise {

inline constexpr int32_t kGlyphHeight = 7;   // rows
inline constexpr int32_t kGlyphAdvance = 6;  // columns from one character to the next

// Writes a line of letters, digits and . , : = + - % / _ ( ); small letters are shown as capitals,
// other characters as an empty box. One font pixel is `scale` pixels wide and high; (left, top) is
// the first letter's corner.
void draw_text(ShapePainter& painter, int32_t left, int32_t top, int32_t scale,
               std::string_view text, Color color);

// Pixels that such a line is wide.
inline int32_t text_width(std::string_view text, int32_t scale) {
  return text.empty() ? 0 : (static_cast<int32_t>(text.size()) * kGlyphAdvance - 1) * scale;
}

}  // namespace reprise
