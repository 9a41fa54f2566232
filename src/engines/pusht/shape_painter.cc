#include "engines/pusht/shape_painter.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace reprise {
namespace {

double squared(Vec2 a) { return dot(a, a); }

double distance_to_segment(Vec2 p, Vec2 from, Vec2 to) {
  const Vec2 along = to - from;
  const double whole = squared(along);
  const double share = whole > 0 ? std::clamp(dot(p - from, along) / whole, 0.0, 1.0) : 0;
  return length(p - from - along * share);
}

// Negative inside: the nearest edge, and whether a ray from p crosses the edges an odd number of
// times.
double distance_to_polygon(Vec2 p, std::span<const Vec2> corners) {
  double nearest = std::numeric_limits<double>::infinity();
  bool is_inside = false;
  for (size_t i = 0; i < corners.size(); ++i) {
    const Vec2 a = corners[i];
    const Vec2 b = corners[(i + 1) % corners.size()];
    nearest = std::min(nearest, distance_to_segment(p, a, b));
    if ((a.y > p.y) != (b.y > p.y) && p.x < a.x + (b.x - a.x) * (p.y - a.y) / (b.y - a.y)) {
      is_inside = !is_inside;
    }
  }
  return is_inside ? -nearest : nearest;
}

}  // namespace

ShapePainter::ShapePainter(int32_t width, int32_t height, Color background)
    : picture_{width, height, {}} {
  picture_.rgb.resize(static_cast<size_t>(3) * width * height);
  rectangle(0, 0, width, height, background);
}

ShapePainter::Box ShapePainter::around(std::span<const Vec2> points, double margin) {
  Box box{1e300, 1e300, -1e300, -1e300};
  for (const Vec2& p : points) {
    box = {std::min(box.left, p.x - margin), std::min(box.top, p.y - margin),
           std::max(box.right, p.x + margin), std::max(box.bottom, p.y + margin)};
  }
  return box;
}

template <typename Distance>
void ShapePainter::fill(const Box& box, const Distance& distance, Color color, double opacity) {
  // Limited as numbers: a shape far outside may have no whole number for its place.
  const auto limited = [](double edge, int32_t n) {
    return static_cast<int32_t>(std::fmin(std::fmax(edge, 0), n));
  };
  const int32_t left = limited(std::floor(box.left - 1), width());
  const int32_t right = limited(std::ceil(box.right + 1), width());
  const int32_t top = limited(std::floor(box.top - 1), height());
  const int32_t bottom = limited(std::ceil(box.bottom + 1), height());
  for (int32_t y = top; y < bottom; ++y) {
    for (int32_t x = left; x < right; ++x) {
      const double share = std::clamp(0.5 - distance(Vec2{x + 0.5, y + 0.5}), 0.0, 1.0);
      if (share == 0) continue;
      uint8_t* pixel = &picture_.rgb[3 * (static_cast<size_t>(y) * width() + x)];
      const Color mixed = blend({pixel[0], pixel[1], pixel[2]}, color, share * opacity);
      std::ranges::copy(mixed, pixel);
    }
  }
}

void ShapePainter::polygon(std::span<const Vec2> corners, Color color, double opacity) {
  fill(
      around(corners, 0), [&](Vec2 p) { return distance_to_polygon(p, corners); }, color, opacity);
}

void ShapePainter::outline(std::span<const Vec2> corners, double thickness, Color color,
                           double opacity) {
  const auto distance = [&](Vec2 p) {
    return std::abs(distance_to_polygon(p, corners)) - thickness / 2;
  };
  fill(around(corners, thickness / 2), distance, color, opacity);
}

void ShapePainter::disc(Vec2 centre, double radius, Color color, double opacity) {
  const auto distance = [&](Vec2 p) { return length(p - centre) - radius; };
  fill(around(std::span(&centre, 1), radius), distance, color, opacity);
}

void ShapePainter::line(Vec2 from, Vec2 to, double thickness, Color color, double opacity) {
  const std::array<Vec2, 2> ends = {from, to};
  const auto distance = [&](Vec2 p) { return distance_to_segment(p, from, to) - thickness / 2; };
  fill(around(ends, thickness / 2), distance, color, opacity);
}

void ShapePainter::rectangle(int32_t left, int32_t top, int32_t right, int32_t bottom,
                             Color color) {
  for (int32_t y = std::max(0, top); y < std::min(height(), bottom); ++y) {
    for (int32_t x = std::max(0, left); x < std::min(width(), right); ++x) {
      std::ranges::copy(color, &picture_.rgb[3 * (static_cast<size_t>(y) * width() + x)]);
    }
  }
}

}  // namespace reprise
