#include "support/pusht_conformance.h"

#include <algorithm>
#include <span>

#include "core/split_mix.h"
#include "engines/pusht/coverage.h"
#include "engines/pusht/legacy_reset.h"
#include "engines/pusht/pusht_expert.h"
#include "support/chipmunk_pusht.h"

namespace reprise {
namespace {

constexpr int32_t kWedgedSteps = 100;

double difference(const PushtState& a, const PushtState& b) {
  double most = distance(a.agent, b.agent);
  const Outline corners = block_outline(a.block, a.angle);
  const Outline others = block_outline(b.block, b.angle);
  for (size_t i = 0; i < corners.size(); ++i) {
    most = std::max(most, distance(corners[i], others[i]));
  }
  return most;
}

struct Replay {
  double largest_difference = 0;
  bool is_solved = false;  // in Chipmunk
};

Replay replay(const PushtState& start, PlacedBy placed_by, std::span<const Vec2> actions) {
  PushtWorld world(start, placed_by);
  ChipmunkPusht chipmunk(start, placed_by);
  Replay out{difference(world.state(), chipmunk.state())};
  for (const Vec2 action : actions) {
    world.control(action);
    chipmunk.control(action);
    out.largest_difference =
        std::max(out.largest_difference, difference(world.state(), chipmunk.state()));
    out.is_solved = out.is_solved || is_solved(coverage(chipmunk.state()));
  }
  return out;
}

}  // namespace

double motion_difference(const NamedMotion& motion) {
  return replay(motion.start, PlacedBy::kExact, motion.targets).largest_difference;
}

ConformanceReport pusht_conformance(int32_t n_episodes) {
  ConformanceReport report;
  for (const NamedMotion& motion : named_motions()) {
    report.motions.push_back({std::string(motion.name), motion_difference(motion)});
  }

  int32_t n_within_1e6 = 0, n_within_1e3 = 0, n_solved = 0, n_replayed = 0;
  for (int32_t seed = 0; seed < n_episodes; ++seed) {
    const PushtState start = legacy_state(seed);
    const PushtDemonstration episode = PushtExpert({}).demonstrate(PushtWorld(start));
    std::vector<Vec2> actions;
    for (const auto& step : episode.steps) actions.push_back(step.action);
    const Replay replayed = replay(start, PlacedBy::kLegacy, actions);
    report.largest_difference = std::max(report.largest_difference, replayed.largest_difference);
    n_within_1e6 += replayed.largest_difference <= 1e-6;
    n_within_1e3 += replayed.largest_difference <= 1e-3;
    n_solved += episode.is_solved;
    n_replayed += replayed.is_solved;
  }
  const auto share = [n_episodes](int32_t n) { return static_cast<double>(n) / n_episodes; };
  report.n_episodes = n_episodes;
  report.share_within_1e6 = share(n_within_1e6);
  report.share_within_1e3 = share(n_within_1e3);
  report.solved_share = share(n_solved);
  report.replayed_success_share = share(n_replayed);

  int32_t n_within_1e5 = 0;
  SplitMix64 random(1);
  for (int32_t seed = 0; seed < n_episodes; ++seed) {
    std::vector<Vec2> actions(kWedgedSteps);
    for (Vec2& action : actions) {
      action = {kPushtWindow * random.uniform(), kPushtWindow * random.uniform()};
    }
    const Replay replayed = replay(legacy_state(seed), PlacedBy::kLegacy, actions);
    report.wedged_largest_difference =
        std::max(report.wedged_largest_difference, replayed.largest_difference);
    n_within_1e5 += replayed.largest_difference <= 1e-5;
  }
  report.n_wedged = n_episodes;
  report.wedged_share_within_1e5 = share(n_within_1e5);
  return report;
}

}  // namespace reprise
