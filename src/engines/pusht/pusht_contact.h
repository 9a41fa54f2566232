#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "engines/pusht/contact_order.h"
#include "engines/pusht/pusht_geometry.h"

namespace reprise {

// The block as a rigid body: place and motion of its centre of gravity. The bias velocities part
// bodies that overlap; they last for one substep and are no momentum.
struct PushtBlock {
  Vec2 centre;
  double angle = 0;
  Vec2 velocity, bias_velocity;  // px/s
  double spin = 0;               // rad/s
  double bias_spin = 0;

  Vec2 origin() const { return centre + Rotation(angle).apply(-kBlockCentre); }
};

struct PushtAgent {
  Vec2 place, velocity;
};

// The push that each pair of shapes had at its last touch, from which the solver starts when they
// touch again (Chipmunk's cpArbiter).
class ContactMemory {
 public:
  static constexpr int32_t kNever = -1000;
  struct Vertex {
    double impulse = 0;
    int32_t i_substep = kNever;
  };
  struct Pair {
    int32_t last_touch = kNever;     // substep
    std::array<Vertex, 4> vertices;  // of the block's part; of the agent's pair only the first
  };
  Pair& pair(PushtPair pair) { return pairs_[pair.i_part][pair.i_other]; }

 private:
  std::array<std::array<Pair, 5>, 2> pairs_;  // [part of the block][wall or agent]
};

// One point where the block is touched.
struct PushtContact {
  Vec2 normal;       // into the block
  Vec2 arm;          // from the block's centre of gravity
  double turn = 0;   // arm x normal
  double mass = 0;   // that the block opposes to a push along the normal here
  double speed = 0;  // px/s, of the other body along the normal
  double bias = 0;   // px/s at which an overlap is undone
  double bias_impulse = 0;
  double impulse = 0;
  bool is_resumed = false;  // the pair also touched one substep earlier
  ContactMemory::Vertex* memory = nullptr;
};

// Room for the most there can be: two parts, each with two points on every wall and one on the
// agent.
class PushtContacts {
 public:
  void add(const PushtContact& contact) { contacts_[n_++] = contact; }
  std::span<PushtContact> all() { return std::span(contacts_).first(n_); }

 private:
  std::array<PushtContact, 18> contacts_;
  size_t n_ = 0;
};

// Every point where agent or walls touch the block, pair by pair in Chipmunk's order. `order` and
// `memory` learn where everything is and who touched whom at i_substep.
PushtContacts find_contacts(const PushtBlock& block, const PushtAgent& agent, int32_t i_substep,
                            ContactOrder& order, ContactMemory& memory);

// Sets the block's velocities by ten rounds of sequential impulses and leaves the impulses in the
// contacts' memory. The block has no velocity of its own: the space's damping is total.
void solve_contacts(std::span<PushtContact> contacts, int32_t i_substep, PushtBlock& block);

}  // namespace reprise
