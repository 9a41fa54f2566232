#include "engines/control/pusht_environment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "engines/pusht/coverage.h"
#include "engines/pusht/legacy_reset.h"
#include "engines/pusht/observation.h"
#include "engines/pusht/pusht_expert.h"

namespace reprise {
namespace {

TEST(PushtEnvironment, ScoresAnEpisodeByItsBestStep) {
  PushtEnvironment environment(100001);
  EXPECT_EQ(environment.state(), PushtWorld(legacy_state(100001)).state());
  const PushtDemonstration shown = PushtExpert({}).demonstrate(PushtWorld(legacy_state(100001)));
  ASSERT_TRUE(shown.is_solved);
  double best = 0;
  for (const PushtDemonstration::Step& step : shown.steps) {
    std::vector<float> obs(environment.n_obs());
    environment.observe(obs);
    EXPECT_TRUE(std::ranges::equal(obs, observation(environment.state())));
    const std::vector<float> action = {static_cast<float>(step.action.x),
                                       static_cast<float>(step.action.y)};
    environment.apply(action);
    EXPECT_EQ(environment.reward(), pusht_reward(coverage(environment.state())));
    best = std::max(best, environment.reward());
    EXPECT_EQ(environment.score(), best);
    EXPECT_EQ(environment.is_done(), is_solved(coverage(environment.state())));
  }
}

TEST(PushtMisfit, NamesTheDifference) {
  EXPECT_EQ(pusht_misfit({.n_obs = 18, .n_action = 2}), "");
  // As the reference trains it.
  EXPECT_EQ(pusht_misfit({.n_obs = 20, .n_action = 2}),
            "it sees 20 numbers and gives 2, Push-T here has 18 (8 corners of the block's outline "
            "and the agent, x and y each) and 2; the reference's low-dimensional data have 9 "
            "keypoints and the agent, 20");
  EXPECT_EQ(pusht_misfit({.n_obs = 60, .n_action = 9}),
            "it sees 60 numbers and gives 9, Push-T here has 18 (8 corners of the block's outline "
            "and the agent, x and y each) and 2");
}

TEST(PushtEnvironment, IsDoneOnceSolved) {
  PushtEnvironment environment(100001);
  const PushtDemonstration shown = PushtExpert({}).demonstrate(PushtWorld(legacy_state(100001)));
  for (const PushtDemonstration::Step& step : shown.steps) {
    const std::vector<float> action = {static_cast<float>(step.action.x),
                                       static_cast<float>(step.action.y)};
    environment.apply(action);
  }
  EXPECT_TRUE(environment.is_done());
  EXPECT_EQ(environment.score(), 1);
}

}  // namespace
}  // namespace reprise
