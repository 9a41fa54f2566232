#include "engines/pusht/named_motions.h"

namespace reprise {
namespace {

// From `from`, `step` further every control step.
std::array<Vec2, 20> straight(Vec2 from, Vec2 step) {
  std::array<Vec2, 20> targets;
  for (size_t i = 0; i < targets.size(); ++i) {
    targets[i] = from + step * static_cast<double>(i + 1);
  }
  return targets;
}

}  // namespace

const std::vector<NamedMotion>& named_motions() {
  static const std::vector<NamedMotion> motions = {
      {"push", {{226, 170}, {256, 200}, 0}, straight({226, 170}, {0, 6})},
      {"swipe", {{170, 190}, {256, 200}, 0}, straight({170, 190}, {9, 0})},
      {"wall", {{165, 55}, {250, 30}, 0}, straight({165, 55}, {7, 0})},
      {"corner", {{380, 360}, {450, 400}, 2.2}, straight({380, 360}, {9, 8})},
  };
  return motions;
}

}  // namespace reprise
