#include "engines/pusht/pusht_geometry.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "reprise/error.h"

namespace reprise {
namespace {

void check_number(std::string_view what, double value) {
  if (std::abs(value) <= kPushtFurthest) return;  // not so for NaN
  throw Error(fmt::format(
      "Push-T: {} is {}; expected a number from {:.0f} to {:.0f} (the window has {:.0f} "
      "pixels a side)",
      what, value, -kPushtFurthest, kPushtFurthest, kPushtWindow));
}

template <typename Corners>
Corners placed(const Corners& local, Vec2 block, double angle) {
  const Rotation rotation(angle);
  Corners out;
  for (size_t i = 0; i < local.size(); ++i) out[i] = block + rotation.apply(local[i]);
  return out;
}

}  // namespace

void check_pusht_state(const PushtState& state) {
  check_number("the agent's x", state.agent.x);
  check_number("the agent's y", state.agent.y);
  check_number("the block's x", state.block.x);
  check_number("the block's y", state.block.y);
  check_number("the block's angle", state.angle);
}

void check_pusht_action(Vec2 target) {
  check_number("an action's x", target.x);
  check_number("an action's y", target.y);
}

std::array<Quad, 2> block_parts(Vec2 block, double angle) {
  return {placed(kBlockParts[0], block, angle), placed(kBlockParts[1], block, angle)};
}

Outline block_outline(Vec2 block, double angle) { return placed(kBlockOutline, block, angle); }

double distance_to_block(Vec2 local) {
  double nearest = INFINITY;
  for (const Quad& part : kBlockParts) {
    const Vec2 low = part[0];
    const Vec2 high = part[2];
    const Vec2 outside = {std::max({low.x - local.x, 0.0, local.x - high.x}),
                          std::max({low.y - local.y, 0.0, local.y - high.y})};
    nearest = std::min(nearest, length(outside));
  }
  return nearest;
}

}  // namespace reprise
