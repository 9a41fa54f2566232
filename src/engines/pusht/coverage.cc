#include "engines/pusht/coverage.h"

#include <algorithm>
#include <array>

namespace reprise {
namespace {

// A convex polygon. A cut adds one corner at most; were rounding to scatter collinear corners to
// both sides, half as many again, 4, 6, 9, 13, 19 after four cuts.
struct Polygon {
  std::array<Vec2, 20> corners;
  size_t n = 0;

  void add(Vec2 corner) { corners[n++] = corner; }
};

// The part of `polygon` to the left of the line from a to b.
Polygon cut(const Polygon& polygon, Vec2 a, Vec2 b) {
  Polygon kept;
  for (size_t i = 0; i < polygon.n; ++i) {
    const Vec2 from = polygon.corners[i];
    const Vec2 to = polygon.corners[(i + 1) % polygon.n];
    const double from_side = cross(b - a, from - a);
    const double to_side = cross(b - a, to - a);
    if (from_side >= 0) kept.add(from);
    if ((from_side >= 0) != (to_side >= 0)) {
      kept.add(from + (to - from) * (from_side / (from_side - to_side)));
    }
  }
  return kept;
}

}  // namespace

double intersection_area(const Quad& a, const Quad& b) {
  Polygon rest;
  for (const Vec2 corner : a) rest.add(corner);
  for (size_t i = 0; i < b.size(); ++i) rest = cut(rest, b[i], b[(i + 1) % b.size()]);
  double twice_area = 0;
  for (size_t i = 0; i < rest.n; ++i) {
    twice_area += cross(rest.corners[i], rest.corners[(i + 1) % rest.n]);
  }
  return twice_area / 2;
}

double coverage(const PushtState& state) {
  check_pusht_state(state);
  static const std::array<Quad, 2> goal_parts = block_parts(kGoalBlock, kGoalAngle);
  double area = 0;  // parts of one T share an edge, no area
  for (const Quad& part : block_parts(state.block, state.angle)) {
    for (const Quad& goal_part : goal_parts) area += intersection_area(part, goal_part);
  }
  return area / kBlockArea;
}

double pusht_reward(double coverage) { return std::clamp(coverage / kSolvedCoverage, 0.0, 1.0); }

}  // namespace reprise
