#pragma once

#include <cstdint>
#include <vector>

namespace reprise {

// Pixels in rows from the top left, red, green and blue (sRGB), one byte each.
struct Picture {
  int32_t width = 0;
  int32_t height = 0;
  std::vector<uint8_t> rgb;  // [height][width][3]

  const uint8_t* pixel(int32_t x, int32_t y) const {
    return rgb.data() + 3 * (static_cast<size_t>(y) * width + x);
  }
};

}  // namespace reprise
