#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "engines/pusht/pusht_geometry.h"

namespace reprise {

// Twenty control steps, 200 substeps, that bring out one side of the physics each.
struct NamedMotion {
  std::string_view name;
  PushtState start;  // placed exactly
  std::array<Vec2, 20> targets;
};

// push: against the bar, off its middle; swipe: along the bar's edge, too near; wall: at the bar's
// end, which turns until a corner meets a wall and slides along it; corner: from inside the T's
// corner onto a wall, flat at last, with the agent in between.
const std::vector<NamedMotion>& named_motions();

}  // namespace reprise
