#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <utility>

#include "core/picture.h"
#include "engines/pusht/pusht_geometry.h"

namespace reprise {

using Color = std::array<uint8_t, 3>;  // sRGB

inline Color blend(Color under, Color over, double opacity) {
  Color out{};
  for (size_t c = 0; c < 3; ++c) {
    out[c] = static_cast<uint8_t>(std::lround(under[c] + opacity * (over[c] - under[c])));
  }
  return out;
}

// Paints smooth shapes into a picture. Points are in pixels from the top left corner; the middle of
// the first pixel is (0.5, 0.5). A pixel on an edge takes the share of the colour that its distance
// to the edge says. What lies outside is cut off.
class ShapePainter {
 public:
  ShapePainter(int32_t width, int32_t height, Color background);

  // Corners in either sense; the polygon need not be convex.
  void polygon(std::span<const Vec2> corners, Color color, double opacity = 1);
  // The polygon's edge, `thickness` wide.
  void outline(std::span<const Vec2> corners, double thickness, Color color, double opacity = 1);
  void disc(Vec2 centre, double radius, Color color, double opacity = 1);
  // A line with round ends.
  void line(Vec2 from, Vec2 to, double thickness, Color color, double opacity = 1);
  // Not smoothed: [left, right) x [top, bottom) in whole pixels.
  void rectangle(int32_t left, int32_t top, int32_t right, int32_t bottom, Color color);

  int32_t width() const { return picture_.width; }
  int32_t height() const { return picture_.height; }
  Picture take() { return std::move(picture_); }

 private:
  struct Box {
    double left, top, right, bottom;
  };
  static Box around(std::span<const Vec2> points, double margin);
  // `distance`: of a point to the shape, negative inside; the shape lies in `box`.
  template <typename Distance>
  void fill(const Box& box, const Distance& distance, Color color, double opacity);

  Picture picture_;
};

}  // namespace reprise
