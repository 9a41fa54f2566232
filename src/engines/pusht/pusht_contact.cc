#include "engines/pusht/pusht_contact.h"

#include <algorithm>
#include <cmath>

namespace reprise {
namespace {

constexpr double kBlockMass = 1;
// The environment adds the bar's moment twice, 1500 each, and forgets the stem.
constexpr double kBlockMoment = 3000;
constexpr double kInverseMass = 1 / kBlockMass;
constexpr double kInverseMoment = 1 / kBlockMoment;

// Chipmunk's defaults (cpSpaceInit): rounds of the solver, overlap left in peace (px), substeps
// after which a pair's impulses are forgotten, share of an overlap undone in a substep. It writes
// two of them as floats: 0.1 and 0.9 proper would part from it by 1e-7 px a touch.
constexpr int32_t kRounds = 10;
constexpr double kSlop = 0.1F;
constexpr int32_t kPersistence = 3;
constexpr double kSubstep = 0.01;  // seconds
const double kBiasShare = 1 - std::pow(std::pow(1.0F - 0.1F, 60.0), kSubstep);

struct Wall {
  Vec2 normal;  // into the window
  double offset;
};
constexpr std::array<Wall, 4> kWalls = {
    {{{1, 0}, kWallNear}, {{0, 1}, kWallNear}, {{-1, 0}, -kWallFar}, {{0, -1}, -kWallFar}}};

// Outward normals of a part's edges, from corner i to i + 1, before it is turned.
constexpr std::array<Vec2, 4> kEdgeNormals = {{{0, -1}, {1, 0}, {0, 1}, {-1, 0}}};

// A part of the block in the window.
struct PlacedPart {
  Quad corners, normals;
  Box box;
};

PlacedPart placed_part(int32_t i_part, const PushtBlock& block, const Rotation& rotation) {
  PlacedPart part{{}, {}, {{INFINITY, INFINITY}, {-INFINITY, -INFINITY}}};
  auto& [low, high] = part.box;
  for (size_t i = 0; i < 4; ++i) {
    const Vec2 corner = block.centre + rotation.apply(kBlockParts[i_part][i] - kBlockCentre);
    part.corners[i] = corner;
    part.normals[i] = rotation.apply(kEdgeNormals[i]);
    low = {std::min(low.x, corner.x), std::min(low.y, corner.y)};
    high = {std::max(high.x, corner.x), std::max(high.y, corner.y)};
  }
  return part;
}

// The block's nearest point to the agent's centre, and how far it is (negative inside).
struct Nearest {
  Vec2 point;
  Vec2 normal;  // from the agent's centre into the block
  double distance;
};

Nearest nearest_outside(const PlacedPart& part, Vec2 centre) {
  Nearest nearest{{}, {}, INFINITY};
  for (size_t i = 0; i < 4; ++i) {
    const Vec2 edge = part.corners[(i + 1) % 4] - part.corners[i];
    const double along =
        std::clamp(dot(centre - part.corners[i], edge) / dot(edge, edge), 0.0, 1.0);
    const Vec2 point = part.corners[i] + edge * along;
    const double d = distance(centre, point);
    if (d < nearest.distance) nearest = {point, {}, d};
  }
  nearest.normal = (nearest.point - centre) * (1 / nearest.distance);
  return nearest;
}

Nearest nearest_point(const PlacedPart& part, Vec2 centre) {
  double furthest = -INFINITY;  // over the edges' lines: 0 or less inside
  Vec2 normal;
  for (size_t i = 0; i < 4; ++i) {
    const double d = dot(centre - part.corners[i], part.normals[i]);
    if (d > furthest) {
      furthest = d;
      normal = part.normals[i];
    }
  }
  if (furthest > 0) return nearest_outside(part, centre);
  return {centre - normal * furthest, -normal, furthest};
}

// What a pair of shapes remembers at the start of substep i_substep.
struct Recalled {
  Recalled(const ContactMemory::Pair& pair, int32_t i_substep)
      : is_resumed(pair.last_touch == i_substep - 1),
        is_kept(i_substep - 1 - pair.last_touch < kPersistence),
        last_touch(pair.last_touch) {}

  double impulse(const ContactMemory::Vertex& vertex) const {
    return is_kept && vertex.i_substep == last_touch ? vertex.impulse : 0;
  }

  bool is_resumed, is_kept;
  int32_t last_touch;
};

// `gap` is negative where the shapes overlap.
PushtContact touch(const PushtBlock& block, Vec2 point, Vec2 normal, double gap,
                   const Recalled& recalled, ContactMemory::Vertex& memory) {
  PushtContact contact;
  contact.normal = normal;
  contact.arm = point - block.centre;
  contact.turn = cross(contact.arm, normal);
  contact.mass = 1 / (kInverseMass + kInverseMoment * contact.turn * contact.turn);
  contact.bias = -kBiasShare * std::min(0.0, gap + kSlop) / kSubstep;
  contact.impulse = recalled.impulse(memory);
  contact.is_resumed = recalled.is_resumed;
  contact.memory = &memory;
  return contact;
}

// A wall touches both ends of the edge that faces it most.
void touch_wall(const Wall& wall, const PlacedPart& part, const PushtBlock& block,
                int32_t i_substep, ContactMemory::Pair& pair, PushtContacts& contacts) {
  std::array<double, 4> heights;  // over the wall's centre line
  for (size_t i = 0; i < 4; ++i) heights[i] = dot(wall.normal, part.corners[i]) - wall.offset;
  const size_t deepest = std::ranges::min_element(heights) - heights.begin();
  if (heights[deepest] > kWallRadius) return;

  const size_t before = (deepest + 3) % 4;
  const bool faces_before =
      dot(-wall.normal, part.normals[before]) > dot(-wall.normal, part.normals[deepest]);
  const size_t i_edge = faces_before ? before : deepest;
  const Recalled recalled(pair, i_substep);
  for (const size_t i : {(i_edge + 1) % 4, i_edge}) {
    const double gap = heights[i] - kWallRadius;
    if (gap > 0) continue;
    contacts.add(touch(block, part.corners[i], wall.normal, gap, recalled, pair.vertices[i]));
    pair.last_touch = i_substep;
  }
}

void touch_agent(const PushtAgent& agent, const PlacedPart& part, const PushtBlock& block,
                 int32_t i_substep, ContactMemory::Pair& pair, PushtContacts& contacts) {
  const Nearest nearest = nearest_point(part, agent.place);
  if (nearest.distance > kAgentRadius) return;
  PushtContact contact =
      touch(block, nearest.point, nearest.normal, nearest.distance - kAgentRadius,
            Recalled(pair, i_substep), pair.vertices[0]);
  contact.speed = dot(agent.velocity, nearest.normal);
  contacts.add(contact);
  pair.last_touch = i_substep;
}

}  // namespace

PushtContacts find_contacts(const PushtBlock& block, const PushtAgent& agent, int32_t i_substep,
                            ContactOrder& order, ContactMemory& memory) {
  const Rotation rotation(block.angle);
  const std::array<PlacedPart, 2> parts = {placed_part(0, block, rotation),
                                           placed_part(1, block, rotation)};
  const Vec2 radius{kAgentRadius, kAgentRadius};
  const Box agent_box{agent.place - radius, agent.place + radius};
  const PushtPairs pairs =
      order.update({{{parts[0].box, block.velocity}, {parts[1].box, block.velocity}}},
                   {agent_box, agent.velocity});
  PushtContacts contacts;
  for (const PushtPair& pair : pairs.all()) {
    const PlacedPart& part = parts[pair.i_part];
    const bool is_agent = pair.i_other == PushtPair::kAgent;
    if (!part.box.meets(is_agent ? agent_box : kWallBoxes[pair.i_other])) continue;
    if (is_agent) {
      touch_agent(agent, part, block, i_substep, memory.pair(pair), contacts);
    } else {
      touch_wall(kWalls[pair.i_other], part, block, i_substep, memory.pair(pair), contacts);
    }
  }
  return contacts;
}

void solve_contacts(std::span<PushtContact> contacts, int32_t i_substep, PushtBlock& block) {
  const auto push = [&block](const PushtContact& contact, double impulse) {
    block.velocity = block.velocity + contact.normal * (impulse * kInverseMass);
    block.spin += kInverseMoment * contact.turn * impulse;
  };
  const auto push_apart = [&block](const PushtContact& contact, double impulse) {
    block.bias_velocity = block.bias_velocity + contact.normal * (impulse * kInverseMass);
    block.bias_spin += kInverseMoment * contact.turn * impulse;
  };

  block.velocity = {};
  block.spin = 0;
  for (const PushtContact& contact : contacts) {
    if (contact.is_resumed) push(contact, contact.impulse);
  }
  for (int32_t i_round = 0; i_round < kRounds; ++i_round) {
    for (PushtContact& contact : contacts) {
      const double bias_speed =
          dot(block.bias_velocity, contact.normal) + block.bias_spin * contact.turn;
      const double speed =
          dot(block.velocity, contact.normal) - contact.speed + block.spin * contact.turn;
      // Bodies push and never pull: the sums, not the steps, stay above zero.
      const double bias_before = contact.bias_impulse;
      contact.bias_impulse =
          std::max(bias_before + (contact.bias - bias_speed) * contact.mass, 0.0);
      push_apart(contact, contact.bias_impulse - bias_before);
      const double before = contact.impulse;
      contact.impulse = std::max(before - speed * contact.mass, 0.0);
      push(contact, contact.impulse - before);
    }
  }
  for (const PushtContact& contact : contacts) *contact.memory = {contact.impulse, i_substep};
}

}  // namespace reprise
