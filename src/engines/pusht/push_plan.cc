#include "engines/pusht/push_plan.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

namespace reprise {
namespace {

// Lengths in px. All of these are the recipe's own choices.
constexpr double kContactSpacing = 9;
constexpr double kStartGap = 19;  // of the agent's centre from the outline: its radius and 4 px
constexpr double kLeastStartGap = 17;
constexpr double kStartNear = 16;  // starts lie inside this square of the window
constexpr double kStartFar = 496;
constexpr double kTargetNear = 5;  // so do targets
constexpr double kTargetFar = 507;
constexpr std::array<double, 3> kSlants = {-0.35, 0, 0.35};  // rad, off the inward normal
constexpr std::array<int32_t, 7> kLengths = {1, 2, 3, 4, 6, 9, 13};
constexpr int32_t kSettlingSteps = 2;  // the agent lags behind its target

// What counts besides the distance to the goal.
constexpr double kApproachCost = 0.004;  // a px from the agent to the start
constexpr double kStepCost = 0.05;       // a control step of pushing
constexpr double kNearWallCost = 15;     // the centre of gravity outside this square
constexpr double kCentreNear = 95;
constexpr double kCentreFar = 417;
constexpr double kSecondPushCost = 0.5;
constexpr size_t kMostFirstPushes = 8;
constexpr int32_t kMostPerContact = 2;

bool is_inside(Vec2 point, double near, double far) {
  return point.x >= near && point.y >= near && point.x <= far && point.y <= far;
}

// A point of the outline, in the block's own coordinates.
struct OutlinePoint {
  Vec2 place;
  Vec2 normal;  // outward
};

const std::vector<OutlinePoint>& outline_points() {
  static const std::vector<OutlinePoint> points = [] {
    std::vector<OutlinePoint> out;
    for (size_t i = 0; i < kBlockOutline.size(); ++i) {
      const Vec2 from = kBlockOutline[i];
      const Vec2 edge = kBlockOutline[(i + 1) % kBlockOutline.size()] - from;
      const Vec2 normal = Vec2{edge.y, -edge.x} * (1 / length(edge));
      const int32_t n = static_cast<int32_t>(length(edge) / kContactSpacing) + 1;
      for (int32_t k = 0; k < n; ++k) out.push_back({from + edge * ((k + 0.5) / n), normal});
    }
    return out;
  }();
  return points;
}

struct Candidate {
  Push push;
  size_t i_contact;
};

double cost_after(const PushtWorld& pushed, const PushtWorld& world, const Push& push) {
  return distance_to_goal(pushed) + kApproachCost * distance(world.state().agent, push.start) +
         kStepCost * push.n_steps +
         (is_inside(pushed.block_centre(), kCentreNear, kCentreFar) ? 0 : kNearWallCost);
}

// Pushes of every length, from one start in one direction.
void try_lengths(const PushtWorld& world, Push push, size_t i_contact,
                 std::vector<Candidate>& candidates) {
  PushtWorld pushed = world;
  pushed.move_agent(push.start);
  for (const int32_t n_steps : kLengths) {
    for (; push.n_steps < n_steps; ++push.n_steps) {
      const Vec2 target = push.target(push.n_steps);
      if (!is_inside(target, kTargetNear, kTargetFar)) return;
      pushed.control(target);
    }
    PushtWorld settled = pushed;
    for (int32_t i = 0; i < kSettlingSteps; ++i) settled.control(push.target(n_steps - 1));
    push.cost = cost_after(settled, world, push);
    candidates.push_back({push, i_contact});
  }
}

std::vector<Candidate> all_pushes(const PushtWorld& world, double step_px) {
  std::vector<Candidate> candidates;
  const Rotation rotation(world.state().angle);
  const Vec2 origin = world.state().block;
  for (size_t i_contact = 0; i_contact < outline_points().size(); ++i_contact) {
    const OutlinePoint& point = outline_points()[i_contact];
    const Vec2 normal = rotation.apply(point.normal);
    const Vec2 start = origin + rotation.apply(point.place) + normal * kStartGap;
    if (!is_inside(start, kStartNear, kStartFar) ||
        distance_to_block(world, start) < kLeastStartGap)
      continue;
    for (const double slant : kSlants) {
      const Vec2 step = -Rotation(slant).apply(normal) * step_px;
      try_lengths(world, {.start = start, .step = step}, i_contact, candidates);
    }
  }
  return candidates;
}

PushtWorld after_push(PushtWorld world, const Push& push) {
  world.move_agent(push.start);
  for (int32_t i = 0; i < push.n_steps; ++i) world.control(push.target(i));
  for (int32_t i = 0; i < kSettlingSteps; ++i) world.control(push.target(push.n_steps - 1));
  return world;
}

bool costs_less(const Candidate& a, const Candidate& b) { return a.push.cost < b.push.cost; }

// The best first push by what can follow it; of one contact point's pushes two are tried.
Push best_with_follower(const PushtWorld& world, std::vector<Candidate> candidates,
                        double step_px) {
  std::ranges::stable_sort(candidates, costs_less);
  std::vector<int32_t> n_seen(outline_points().size());
  double least = std::numeric_limits<double>::infinity();
  Push best;
  size_t n_tried = 0;
  for (const Candidate& candidate : candidates) {
    if (n_tried == kMostFirstPushes) break;
    if (n_seen[candidate.i_contact]++ >= kMostPerContact) continue;
    ++n_tried;
    const std::optional<Push> follower =
        plan_push(after_push(world, candidate.push), Lookahead::kOnePush, step_px);
    double cost = candidate.push.cost;
    if (follower) cost = std::min(cost, follower->cost + kSecondPushCost);
    if (cost < least) {
      least = cost;
      best = candidate.push;
    }
  }
  return best;
}

}  // namespace

double distance_to_goal(const PushtWorld& world) {
  static const Outline goal = block_outline(kGoalBlock, kGoalAngle);
  const PushtState state = world.state();
  const Outline corners = block_outline(state.block, state.angle);
  double sum = 0;
  for (size_t i = 0; i < goal.size(); ++i) {
    const Vec2 left = corners[i] - goal[i];
    sum += dot(left, left);
  }
  return std::sqrt(sum / goal.size());
}

double distance_to_block(const PushtWorld& world, Vec2 point) {
  const PushtState state = world.state();
  return distance_to_block(Rotation(state.angle).undo(point - state.block));
}

std::optional<Push> plan_push(const PushtWorld& world, Lookahead lookahead, double step_px) {
  std::vector<Candidate> candidates = all_pushes(world, step_px);
  if (candidates.empty()) return std::nullopt;
  if (lookahead == Lookahead::kTwoPushes)
    return best_with_follower(world, std::move(candidates), step_px);
  return std::ranges::min_element(candidates, costs_less)->push;
}

}  // namespace reprise
