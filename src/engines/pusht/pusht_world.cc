#include "engines/pusht/pusht_world.h"

namespace reprise {
namespace {

constexpr double kStiffness = 100;  // 1/s^2
constexpr double kDamping = 20;     // 1/s; critical: 2 * sqrt(kStiffness)

}  // namespace

PushtWorld::PushtWorld(const PushtState& state, PlacedBy placed_by) : agent_(state.agent) {
  check_pusht_state(state);
  block_.angle = state.angle;
  const Vec2 to_centre =
      placed_by == PlacedBy::kLegacy ? kBlockCentre : Rotation(state.angle).apply(kBlockCentre);
  block_.centre = state.block + to_centre;
  substep();
}

void PushtWorld::control(Vec2 target) {
  check_pusht_action(target);
  for (int32_t i = 0; i < kSubstepsPerControl; ++i) {
    const Vec2 acceleration = (target - agent_) * kStiffness - agent_velocity_ * kDamping;
    agent_velocity_ = agent_velocity_ + acceleration * kPushtSubstep;
    substep();
  }
}

void PushtWorld::move_agent(Vec2 place) {
  agent_ = place;
  agent_velocity_ = {};
}

PushtState PushtWorld::state() const { return {agent_, block_.origin(), block_.angle}; }

// Chipmunk's cpSpaceStep: bodies move by the last substep's velocities, then contacts set new ones.
void PushtWorld::substep() {
  ++i_substep_;
  agent_ = agent_ + agent_velocity_ * kPushtSubstep;
  block_.centre = block_.centre + (block_.velocity + block_.bias_velocity) * kPushtSubstep;
  block_.angle += (block_.spin + block_.bias_spin) * kPushtSubstep;
  block_.bias_velocity = {};
  block_.bias_spin = 0;
  PushtContacts contacts =
      find_contacts(block_, {agent_, agent_velocity_}, i_substep_, order_, memory_);
  solve_contacts(contacts.all(), i_substep_, block_);
}

}  // namespace reprise
