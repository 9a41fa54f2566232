#include "engines/pusht/pusht_expert.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "engines/pusht/coverage.h"
#include "reprise/error.h"

namespace reprise {
namespace {

constexpr double kPi = std::numbers::pi;

// The recipe's own choices; lengths in px.
constexpr int32_t kMostPushes = 60;
constexpr double kWalkingStep = 26;  // of the target, a control step
constexpr int32_t kMostWalkingSteps = 60;
constexpr double kClearance = 16.5;  // of the agent's centre from the block, on its way
constexpr double kClearanceSampling = 4;
constexpr double kArcRadius = 100;  // around the block's centre of gravity
constexpr double kArcStep = 20;
constexpr double kArcNear = 8;  // an arc has to stay inside this square
constexpr double kArcFar = 504;
constexpr int32_t kArcSamples = 12;
constexpr double kRetreat = 12;

// When a walk has arrived: how near, and how slow (px/s).
struct Arrival {
  double within;
  double speed;
};
constexpr Arrival kStop = {2, 25};
constexpr Arrival kPassBy = {12, INFINITY};

double pushing_step(double px_to_goal) {
  if (px_to_goal > 25) return 11;
  return px_to_goal > 8 ? 5 : 2;
}

double wrapped(double angle) {
  while (angle > kPi) angle -= 2 * kPi;
  while (angle < -kPi) angle += 2 * kPi;
  return angle;
}

bool is_way_clear(const PushtWorld& world, Vec2 from, Vec2 to) {
  const int32_t n = static_cast<int32_t>(distance(from, to) / kClearanceSampling) + 1;
  for (int32_t i = 0; i <= n; ++i) {
    const Vec2 point = from + (to - from) * (static_cast<double>(i) / n);
    if (distance_to_block(world, point) < kClearance) return false;
  }
  return true;
}

// Around the block, from one direction of its centre to another.
struct Arc {
  Vec2 centre;
  double from;  // rad
  double turn;

  Vec2 at(double share) const {
    const double angle = from + turn * share;
    return centre + Vec2{kArcRadius * std::cos(angle), kArcRadius * std::sin(angle)};
  }
  bool stays_inside() const {
    for (int32_t i = 0; i <= kArcSamples; ++i) {
      const Vec2 p = at(static_cast<double>(i) / kArcSamples);
      if (p.x < kArcNear || p.y < kArcNear || p.x > kArcFar || p.y > kArcFar) return false;
    }
    return true;
  }
};

double direction(Vec2 v) { return std::atan2(v.y, v.x); }

// The shorter way round, unless only the longer one stays in the window.
Arc arc_around(Vec2 centre, Vec2 from, Vec2 to) {
  const double start = direction(from - centre);
  const double turn = wrapped(direction(to - centre) - start);
  const Arc shorter{centre, start, turn};
  const Arc longer{centre, start, turn > 0 ? turn - 2 * kPi : turn + 2 * kPi};
  return !shorter.stays_inside() && longer.stays_inside() ? longer : shorter;
}

// One episode as it goes on.
class Episode {
 public:
  Episode(const PushtWorld& start, const PushtExpertOptions& options, SplitMix64& random)
      : world_(start), options_(options), random_(random) {}

  bool is_over() const {
    return demonstration_.is_solved || demonstration_.steps.size() >= kPushtMostSteps;
  }
  const PushtWorld& world() const { return world_; }
  PushtDemonstration take() { return std::move(demonstration_); }

  void act(Vec2 target);
  void walk(Vec2 to, Arrival arrival);
  void approach(Vec2 start);
  void push(const Push& push);

 private:
  Vec2 with_noise(Vec2 action);

  PushtWorld world_;
  const PushtExpertOptions& options_;
  SplitMix64& random_;
  PushtDemonstration demonstration_;
};

Vec2 inside_window(Vec2 target) {
  return {std::clamp(target.x, 0.0, kPushtWindow), std::clamp(target.y, 0.0, kPushtWindow)};
}

Vec2 Episode::with_noise(Vec2 action) {
  if (random_.uniform() >= options_.noise_share) return action;
  // Box and Muller's two normals.
  const double radius = options_.noise_px * std::sqrt(-2 * std::log(1 - random_.uniform()));
  const double angle = 2 * kPi * random_.uniform();
  return inside_window(action + Vec2{radius * std::cos(angle), radius * std::sin(angle)});
}

void Episode::act(Vec2 target) {
  if (is_over()) return;
  const Vec2 action = inside_window(target);
  demonstration_.steps.push_back({world_.state(), action});
  world_.control(with_noise(action));
  const double covered = coverage(world_.state());
  demonstration_.best_coverage = std::max(demonstration_.best_coverage, covered);
  demonstration_.is_solved = is_solved(covered);
}

void Episode::walk(Vec2 to, Arrival arrival) {
  Vec2 target = world_.state().agent;
  for (int32_t i = 0; i < kMostWalkingSteps && !is_over(); ++i) {
    const double left = distance(target, to);
    target = left > kWalkingStep ? target + (to - target) * (kWalkingStep / left) : to;
    act(target);
    if (distance(world_.state().agent, to) < arrival.within &&
        length(world_.agent_velocity()) < arrival.speed)
      return;
  }
}

void Episode::approach(Vec2 start) {
  if (is_way_clear(world_, world_.state().agent, start)) return walk(start, kStop);
  const Arc arc = arc_around(world_.block_centre(), world_.state().agent, start);
  if (distance(arc.centre, world_.state().agent) < kArcRadius - 3) walk(arc.at(0), kPassBy);
  const int32_t n = static_cast<int32_t>(std::abs(arc.turn) * kArcRadius / kArcStep) + 1;
  for (int32_t i = 1; i <= n && !is_over(); ++i) {
    act(arc.at(static_cast<double>(i) / n));
    if (is_way_clear(world_, world_.state().agent, start)) break;
  }
  walk(start, kStop);
}

void Episode::push(const Push& push) {
  for (int32_t i = 0; i < push.n_steps; ++i) act(push.target(i));
  act(push.target(push.n_steps - 1));  // the agent lags behind
  act(world_.state().agent - push.step * (kRetreat / length(push.step)));
}

}  // namespace

PushtExpert::PushtExpert(const PushtExpertOptions& options)
    : options_(options), random_(options.seed) {
  if (!(options.noise_share >= 0 && options.noise_share <= 1)) {
    throw Error(fmt::format("Push-T expert: noise in a share of {} of the actions; expected 0 to 1",
                            options.noise_share));
  }
  if (!(options.noise_px >= 0 && options.noise_px <= 100)) {
    throw Error(fmt::format("Push-T expert: noise of {} px; expected 0 to 100", options.noise_px));
  }
}

PushtDemonstration PushtExpert::demonstrate(const PushtWorld& start) {
  Episode episode(start, options_, random_);
  for (int32_t i = 0; i < kMostPushes && !episode.is_over(); ++i) {
    const double step_px = pushing_step(distance_to_goal(episode.world()));
    const std::optional<Push> push = plan_push(episode.world(), options_.lookahead, step_px);
    if (!push) break;
    episode.approach(push->start);
    episode.push(*push);
  }
  return episode.take();
}

}  // namespace reprise
