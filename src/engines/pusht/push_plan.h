#pragma once

#include <cstdint>
#include <optional>

#include "engines/pusht/pusht_world.h"

namespace reprise {

// The agent, beside the block at `start`, is sent `step` further at each of n_steps control steps.
struct Push {
  Vec2 start;
  Vec2 step;
  int32_t n_steps = 0;
  double cost = 0;  // px: what plan_push() weighed, less is better

  Vec2 target(int32_t i_step) const { return start + step * (i_step + 1); }
};

enum class Lookahead : uint8_t {
  kOnePush,   // take the push that ends best
  kTwoPushes  // of the eight best take the one whose best follower ends best: 7 times the work
};

// How far the block is from the goal, in px: the root mean square of its 8 corners' distances.
double distance_to_goal(const PushtWorld& world);

// The best push of all tried in copies of `world`: from points every 9 px around the outline, in
// three directions each, seven lengths, `step_px` a control step. Nothing when the agent can stand
// nowhere. Source: our own, for the demonstrations of tools/train/pusht.
std::optional<Push> plan_push(const PushtWorld& world, Lookahead lookahead, double step_px);

// Distance from `point` to the block, 0 inside.
double distance_to_block(const PushtWorld& world, Vec2 point);

}  // namespace reprise
