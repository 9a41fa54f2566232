#pragma once

#include <array>
#include <cstdint>

#include "engines/pusht/pusht_contact.h"
#include "engines/pusht/pusht_geometry.h"

namespace reprise {

inline constexpr double kPushtSubstep = 0.01;       // seconds
inline constexpr int32_t kSubstepsPerControl = 10;  // 10 control steps a second
inline constexpr int32_t kPushtMostSteps = 300;     // control steps of an episode

// How a state is set. The environment moves the block first and turns it about its centre of
// gravity then, so that the block does not lie where the state says: the legacy way, which every
// published score uses. Exact places it there.
enum class PlacedBy : uint8_t { kLegacy, kExact };

// The Push-T scene: a kinematic disc, the agent, pushes a T-shaped block in a walled window,
// without gravity, friction or bounce; the block stops as soon as nothing touches it. What Chipmunk
// 7.0.3 does with the scene of gym-pusht, in the same order: equal to it within 1e-9 px over whole
// episodes (tests/support/pusht_conformance.h), as long as the block stays inside the window.
// A plain value: copying one clones the scene. No function allocates.
class PushtWorld {
 public:
  // Places agent and block, at rest, and runs one substep, as the environment does.
  // Throws Error as check_pusht_state.
  explicit PushtWorld(const PushtState& state, PlacedBy placed_by = PlacedBy::kLegacy);

  // One control step, 0.1 s: the agent is drawn to `target` by a critically damped spring. Targets
  // outside the window are followed, too. Throws Error as check_pusht_action.
  void control(Vec2 target);

  // Puts the agent elsewhere, at rest; what it touched is remembered. For planning.
  void move_agent(Vec2 place);

  PushtState state() const;
  Vec2 agent_velocity() const { return agent_velocity_; }  // px/s
  Vec2 block_velocity() const { return block_.velocity; }  // px/s, of its centre of gravity
  Vec2 block_centre() const { return block_.centre; }      // of gravity

 private:
  void substep();

  Vec2 agent_, agent_velocity_;
  PushtBlock block_;
  int32_t i_substep_ = 0;
  ContactOrder order_;
  ContactMemory memory_;
};

}  // namespace reprise
