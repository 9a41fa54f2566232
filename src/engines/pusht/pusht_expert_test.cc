#include "engines/pusht/pusht_expert.h"

#include <gtest/gtest.h>

#include <limits>

#include "engines/pusht/coverage.h"
#include "engines/pusht/legacy_reset.h"
#include "reprise/error.h"

namespace reprise {
namespace {

TEST(PushtExpert, SolvesWhatItStarts) {
  for (uint32_t seed = 0; seed < 5; ++seed) {
    const PushtDemonstration episode = PushtExpert({}).demonstrate(PushtWorld(legacy_state(seed)));
    EXPECT_TRUE(episode.is_solved) << seed;
    EXPECT_GT(episode.best_coverage, kSolvedCoverage) << seed;
    EXPECT_LE(episode.steps.size(), kPushtMostSteps) << seed;
  }
}

TEST(PushtExpert, ItsActionsRepeatItsStates) {
  const PushtWorld start(legacy_state(100000));
  const PushtDemonstration episode = PushtExpert({}).demonstrate(start);
  PushtWorld world = start;
  double best = 0;
  for (const auto& step : episode.steps) {
    ASSERT_EQ(world.state(), step.state);
    ASSERT_GE(std::min(step.action.x, step.action.y), 0);
    ASSERT_LE(std::max(step.action.x, step.action.y), kPushtWindow);
    world.control(step.action);
    best = std::max(best, coverage(world.state()));
  }
  EXPECT_EQ(best, episode.best_coverage);
}

TEST(PushtExpert, NoiseIsCarriedOutAndNotRecorded) {
  const PushtWorld start(legacy_state(7));
  const PushtExpertOptions noisy{.noise_share = 0.1, .noise_px = 3, .seed = 5};
  const PushtDemonstration episode = PushtExpert(noisy).demonstrate(start);
  EXPECT_TRUE(episode.is_solved);
  // Replaying an action from the state before it gives the next state, but for the noisy ones. The
  // velocities are not in a state; so compare whole replays up to the first noisy action.
  PushtWorld world = start;
  size_t i = 0;
  while (i < episode.steps.size() && world.state() == episode.steps[i].state) {
    world.control(episode.steps[i++].action);
  }
  EXPECT_GT(i, 0);
  EXPECT_LT(i, episode.steps.size());
  const double error = distance(world.state().agent, episode.steps[i].state.agent);
  // 10 substeps close all but 0.74 of the way to a target: 0.26 of a noise that stays below 6
  // deviations.
  EXPECT_GT(error, 0);
  EXPECT_LT(error, 0.3 * 6 * 3);

  const PushtDemonstration again = PushtExpert(noisy).demonstrate(start);
  ASSERT_EQ(again.steps.size(), episode.steps.size());
  EXPECT_EQ(again.steps.back().state, episode.steps.back().state);
}

TEST(PushtExpert, GivesUpWhereNothingCanBeDone) {
  const PushtDemonstration episode =
      PushtExpert({}).demonstrate(PushtWorld({{0, 0}, {900, 900}, 0}));
  EXPECT_FALSE(episode.is_solved);
  EXPECT_TRUE(episode.steps.empty());
}

TEST(PushtExpert, RefusesNoiseThatIsNone) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double share : {-0.1, 1.1, nan}) {
    EXPECT_THROW(PushtExpert({.noise_share = share}), Error) << share;
  }
  for (const double px : {-1.0, 101.0, nan}) {
    EXPECT_THROW(PushtExpert({.noise_px = px}), Error) << px;
  }
}

}  // namespace
}  // namespace reprise
