#include "engines/pusht/contact_order.h"

#include <algorithm>
#include <cmath>

namespace reprise {
namespace {

constexpr int32_t kAgent = PushtPair::kAgent;
constexpr int32_t kBar = 5;
constexpr int32_t kStem = 6;
// A box grows by this share of its size, or of a second's way: a float in Chipmunk.
constexpr double kGrowth = 0.1F;

Box grown(const Box& box, Vec2 velocity) {
  const Vec2 by = (box.high - box.low) * kGrowth;
  const Vec2 way = velocity * kGrowth;
  return {{box.low.x + std::min(-by.x, way.x), box.low.y + std::min(-by.y, way.y)},
          {box.high.x + std::max(by.x, way.x), box.high.y + std::max(by.y, way.y)}};
}

double area(const Box& box) { return (box.high.x - box.low.x) * (box.high.y - box.low.y); }

double merged_area(const Box& a, const Box& b) {
  return (std::max(a.high.x, b.high.x) - std::min(a.low.x, b.low.x)) *
         (std::max(a.high.y, b.high.y) - std::min(a.low.y, b.low.y));
}

// Twice the distance of the centres, along the axes.
double remoteness(const Box& a, const Box& b) {
  return std::abs(a.low.x + a.high.x - b.low.x - b.high.x) +
         std::abs(a.low.y + a.high.y - b.low.y - b.high.y);
}

bool can_touch(int32_t a, int32_t b) { return (a == kAgent) != (b == kAgent); }

PushtPair pair_of(int32_t a, int32_t b) { return {std::max(a, b) - kBar, std::min(a, b)}; }

}  // namespace

bool Box::holds(const Box& other) const {
  return low.x <= other.low.x && high.x >= other.high.x && low.y <= other.low.y &&
         high.y >= other.high.y;
}

bool Box::meets(const Box& other) const {
  return low.x <= other.high.x && other.low.x <= high.x && low.y <= other.high.y &&
         other.low.y <= high.y;
}

constexpr double kOuterNear = kWallNear - kWallRadius;
constexpr double kInnerNear = kWallNear + kWallRadius;
constexpr double kOuterFar = kWallFar + kWallRadius;
constexpr double kInnerFar = kWallFar - kWallRadius;
const std::array<Box, 4> kWallBoxes = {{{{kOuterNear, kOuterNear}, {kInnerNear, kOuterFar}},
                                        {{kOuterNear, kOuterNear}, {kOuterFar, kInnerNear}},
                                        {{kInnerFar, kOuterNear}, {kOuterFar, kOuterFar}},
                                        {{kOuterNear, kInnerFar}, {kOuterFar, kOuterFar}}}};

// The tree that comes from adding agent, bar and stem, in this order, to an empty one. Agent and
// stem are the only ones whose boxes meet.
ContactOrder::ContactOrder() : order_{kBar, kStem, kAgent} {
  leaf(kAgent).box = grown({{241, 385}, {271, 415}}, {});
  leaf(kBar).box = grown({{196, 300}, {316, 330}}, {});
  leaf(kStem).box = grown({{241, 330}, {271, 420}}, {});
  add_neighbour(kStem, kAgent, false);
  add_neighbour(kAgent, kStem, true);
}

ContactOrder::Leaf& ContactOrder::leaf(int32_t shape) { return leaves_[shape - kAgent]; }

PushtPairs ContactOrder::update(const std::array<Moving, 2>& parts, const Moving& agent) {
  reinsert(kBar, parts[0]);
  reinsert(kStem, parts[1]);
  reinsert(kAgent, agent);
  PushtPairs pairs;
  for (const int32_t shape : order_) report(shape, pairs);
  return pairs;
}

// Puts a shape that left its box beside the leaf that makes the smaller tree.
void ContactOrder::reinsert(int32_t shape, const Moving& moving) {
  Leaf& moved = leaf(shape);
  moved.is_fresh = !moved.box.holds(moving.box);
  if (!moved.is_fresh) return;
  moved.box = grown(moving.box, moving.velocity);
  for (int32_t i = 0; i < moved.n_neighbours; ++i) {
    const int32_t other = moved.neighbours[i].shape;
    if (other >= kAgent) remove_neighbour(other, shape);
  }
  moved.n_neighbours = 0;

  std::array<int32_t, 2> rest;
  std::ranges::copy_if(order_, rest.begin(), [shape](int32_t other) { return other != shape; });
  const Box& left = leaf(rest[0]).box;
  const Box& right = leaf(rest[1]).box;
  double left_cost = area(right) + merged_area(left, moved.box);
  double right_cost = area(left) + merged_area(right, moved.box);
  if (left_cost == right_cost) {
    left_cost = remoteness(left, moved.box);
    right_cost = remoteness(right, moved.box);
  }
  siblings_are_left_ = right_cost >= left_cost;
  if (siblings_are_left_) {
    order_ = {shape, rest[0], rest[1]};
  } else {
    order_ = {rest[0], shape, rest[1]};
  }
}

void ContactOrder::report(int32_t shape, PushtPairs& pairs) {
  const Leaf& reporting = leaf(shape);
  if (reporting.is_fresh) return report_fresh(shape, pairs);
  for (int32_t i = 0; i < reporting.n_neighbours; ++i) {
    const Neighbour& neighbour = reporting.neighbours[i];
    if (neighbour.reports) pairs.add(pair_of(shape, neighbour.shape));
  }
}

// Finds the neighbours: the walls, then other leaves from the nearest relative on. Those to the
// right report the pair themselves, for their turn is still to come.
void ContactOrder::report_fresh(int32_t shape, PushtPairs& pairs) {
  const Leaf& reporting = leaf(shape);
  if (shape != kAgent) {
    for (int32_t i_wall = 3; i_wall >= 0; --i_wall) {  // so it is in the walls' own tree
      if (!reporting.box.meets(kWallBoxes[i_wall])) continue;
      add_neighbour(shape, i_wall, true);
      pairs.add({shape - kBar, i_wall});
    }
  }

  const auto place = std::ranges::find(order_, shape) - order_.begin();
  std::array<int32_t, 2> relatives;  // places
  switch (place) {
    case 0:
      relatives = {1, 2};
      break;
    case 1:
      relatives = siblings_are_left_ ? std::array{0, 2} : std::array{2, 0};
      break;
    default:
      relatives = siblings_are_left_ ? std::array{0, 1} : std::array{1, 0};
  }
  for (const int32_t i : relatives) {
    const int32_t other = order_[i];
    if (!can_touch(shape, other) || !reporting.box.meets(leaf(other).box)) continue;
    if (place < i) {
      add_neighbour(shape, other, false);
      add_neighbour(other, shape, true);
      continue;
    }
    if (!leaf(other).is_fresh) {
      add_neighbour(other, shape, false);
      add_neighbour(shape, other, true);
    }
    pairs.add(pair_of(shape, other));
  }
}

void ContactOrder::add_neighbour(int32_t shape, int32_t other, bool reports) {
  Leaf& to = leaf(shape);
  std::copy_backward(to.neighbours.begin(), to.neighbours.begin() + to.n_neighbours,
                     to.neighbours.begin() + to.n_neighbours + 1);
  to.neighbours[0] = {other, reports};
  ++to.n_neighbours;
}

void ContactOrder::remove_neighbour(int32_t shape, int32_t other) {
  Leaf& from = leaf(shape);
  const auto end = from.neighbours.begin() + from.n_neighbours;
  const auto rest = std::remove_if(from.neighbours.begin(), end,
                                   [other](const Neighbour& n) { return n.shape == other; });
  from.n_neighbours -= static_cast<int32_t>(end - rest);
}

}  // namespace reprise
