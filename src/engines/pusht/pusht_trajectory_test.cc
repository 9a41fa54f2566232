// What gym-pusht does, step by step, and what the reference's expert chose (tools/golden_pusht.py).

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engines/pusht/pusht_expert.h"

namespace reprise {
namespace {

// px and rad. Both do the same arithmetic in another order of additions, 1 part in 2^53 apart each
// time. Pushing a block is a contraction, so that 3,000 substeps of coordinates up to 512 in a few
// dozen operations each add up to 3000 * 512 * 30 / 2^53 = 5e-9 at worst; sums of random signs to
// its square root's share of that, 2e-11.
constexpr double kTolerance = 1e-9;

struct Trajectory {
  int32_t lookahead;
  PushtState start;
  std::vector<Vec2> actions;
  std::vector<PushtState> states;
};

PushtState state_of(const nlohmann::json& row) {
  return {{row.at(0), row.at(1)}, {row.at(2), row.at(3)}, row.at(4)};
}

std::vector<Trajectory> trajectories() {
  std::ifstream file(std::string(REPRISE_SOURCE_DIR) +
                     "/tests/golden/control/pusht_trajectories.json");
  std::vector<Trajectory> out;
  for (const auto& entry : nlohmann::json::parse(file)) {
    Trajectory trajectory{entry.at("lookahead"), state_of(entry.at("start")), {}, {}};
    for (const auto& row : entry.at("actions"))
      trajectory.actions.push_back({row.at(0), row.at(1)});
    for (const auto& row : entry.at("states")) trajectory.states.push_back(state_of(row));
    out.push_back(trajectory);
  }
  return out;
}

TEST(PushtTrajectory, EveryStateIsGymPushts) {
  const std::vector<Trajectory> all = trajectories();
  ASSERT_EQ(all.size(), 4);
  for (size_t i = 0; i < all.size(); ++i) {
    ASSERT_EQ(all[i].actions.size(), all[i].states.size());
    PushtWorld world(all[i].start);
    for (size_t k = 0; k < all[i].actions.size(); ++k) {
      world.control(all[i].actions[k]);
      const PushtState state = world.state();
      const PushtState& want = all[i].states[k];
      ASSERT_LE(distance(state.agent, want.agent), kTolerance) << i << " step " << k;
      ASSERT_LE(distance(state.block, want.block), kTolerance) << i << " step " << k;
      ASSERT_LE(std::abs(state.angle - want.angle), kTolerance) << i << " step " << k;
    }
  }
}

TEST(PushtTrajectory, TheExpertChoosesTheReferencesActions) {
  int32_t n_episodes = 0;
  for (const Trajectory& trajectory : trajectories()) {
    if (trajectory.lookahead == 0) continue;
    ++n_episodes;
    PushtExpert expert(
        {.lookahead = trajectory.lookahead == 1 ? Lookahead::kOnePush : Lookahead::kTwoPushes});
    const PushtDemonstration episode = expert.demonstrate(PushtWorld(trajectory.start));
    EXPECT_TRUE(episode.is_solved);
    ASSERT_EQ(episode.steps.size(), trajectory.actions.size());
    for (size_t k = 0; k < episode.steps.size(); ++k) {
      ASSERT_LE(distance(episode.steps[k].action, trajectory.actions[k]), kTolerance)
          << "episode " << n_episodes << " step " << k;
    }
  }
  EXPECT_EQ(n_episodes, 3);
}

}  // namespace
}  // namespace reprise
