#include "engines/control/control_loop.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>

#include "core/error.h"
#include "core/split_mix.h"
#include "engines/control/action_noise.h"
#include "support/counting_control.h"

namespace reprise {
namespace {

using std::chrono::milliseconds;
using test::CountingEnvironment;
using test::CountingPlanner;

// Per control step the number of the chunk its action came from, 'h' where the last was held.
struct Course {
  std::string chunks;
  std::vector<CountingPlanner::Seen> seen;
  ControlReport report;
  EpisodeResult result;
};

Course run_simulated(ControlMode mode, int64_t n_ticks, int32_t latency_steps,
                     PlanLatency latency = {}) {
  CountingPlanner planner;
  CountingEnvironment environment;
  ControlLoop loop(planner, {mode, 10, latency_steps, false, std::move(latency)});
  Course run;
  ControlEvents events;
  events.on_tick = [&](const ControlTick& tick) {
    run.chunks += tick.is_fresh ? static_cast<char>('0' + static_cast<int>(tick.action[1])) : 'h';
    EXPECT_EQ(tick.i_tick, std::ssize(environment.applied) - 1);
  };
  run.result = loop.run(environment, 7, n_ticks, events);
  run.seen = planner.seen;
  run.report = loop.report();
  return run;
}

PlanLatency constant(milliseconds latency) {
  return [latency](int64_t /*i_plan*/) { return latency; };
}

TEST(ControlLoop, SyncExecutesEachChunkAsThePaperDoes) {
  const Course run = run_simulated(ControlMode::kSync, 20, 0);
  EXPECT_EQ(run.chunks, "00000000111111112222");
  ASSERT_EQ(run.seen.size(), 3U);
  EXPECT_EQ(run.seen[0].obs, (std::vector<float>{0, 0}));  // the first one, repeated
  EXPECT_EQ(run.seen[1].obs, (std::vector<float>{7, 8}));  // the last two single steps
  EXPECT_EQ(run.seen[2].obs, (std::vector<float>{15, 16}));
  EXPECT_EQ(run.report.n_underruns, 0);
  EXPECT_EQ(run.report.n_stale, 0);
  EXPECT_EQ(run.report.n_misses, 0);
  EXPECT_DOUBLE_EQ(run.report.elapsed_s, 2);
  EXPECT_DOUBLE_EQ(run.report.actions_per_s(), 10);
  EXPECT_EQ(run.result.n_ticks, 20);
  EXPECT_EQ(run.result.score, 0.25);
  EXPECT_FALSE(run.result.is_done);
}

// A chunk is asked for in the step after its predecessor's eighth, and serves from the first step
// that it can reach.
TEST(ControlLoop, AsyncHandsOverByTable) {
  const std::tuple<int32_t, int64_t, std::string> cases[] = {
      // latency of each plan in ms, stale actions, chunks
      {0, 2, "000000000111111112222"},  // its own step is never reached
      {50, 2, "000000000111111112222"},  {89, 2, "000000000111111112222"},
      {90, 4, "000000000011111111222"},  // less than 10 ms before the next
      {150, 4, "000000000011111111222"}, {350, 8, "000000000000111111112"},
      {650, 7, "000000000000000111111"},  // the whole horizon of 15 is used
      {700, 8, "000000000000000111111"},  // asked for a step sooner, as the first plan took so long
      {900, 10, "00000000000000011111h"}};
  for (const auto& [ms, n_stale, want] : cases) {
    const Course run = run_simulated(ControlMode::kAsync, 21, 0, constant(milliseconds(ms)));
    EXPECT_EQ(run.chunks, want) << ms;
    EXPECT_EQ(run.report.n_stale, n_stale) << ms;
    EXPECT_EQ(run.report.n_underruns, std::ranges::count(want, 'h')) << ms;
    EXPECT_EQ(run.report.n_over_budget, 0) << ms;
    EXPECT_EQ(run.report.n_ticks(), 21) << ms;
  }
}

TEST(ControlLoop, EveryActionIsAppliedInTheStepItWasPlannedFor) {
  for (const int32_t ms : {0, 130, 350, 690}) {
    CountingPlanner planner;
    CountingEnvironment environment;
    ControlLoop loop(planner, {ControlMode::kAsync, 10, 0, false, constant(milliseconds(ms))});
    loop.run(environment, 1, 200, {});
    for (size_t i = 0; i < environment.applied.size(); ++i) {
      EXPECT_EQ(environment.applied[i][0], static_cast<float>(i)) << ms;
    }
    EXPECT_EQ(loop.report().n_underruns, 0) << ms;
  }
}

TEST(ControlLoop, LatencyStepsAreTheStepsFromObservationToPlan) {
  for (int32_t n = 1; n <= 7; ++n) {
    const Course run = run_simulated(ControlMode::kAsync, 60, n);
    // The second chunk is asked for in step 8.
    EXPECT_EQ(run.chunks.find('1'), static_cast<size_t>(8 + n)) << n;
    EXPECT_EQ(run.report.n_underruns, 0) << n;
    EXPECT_DOUBLE_EQ(run.report.chunk_s[0], 0.1 * (n - 0.5)) << n;
  }
}

TEST(ControlLoop, WhollyLateChunkGivesItsLastActionAndCounts) {
  // The second plan takes 2 s: all its 15 actions are stale.
  const Course run = run_simulated(ControlMode::kAsync, 35, 0, [](int64_t i_plan) {
    return milliseconds(i_plan == 1 ? 2005 : 50);
  });
  EXPECT_EQ(run.report.n_over_budget, 1);
  //           0-14 of the first, then held until 8 + 20.05 steps have passed
  EXPECT_EQ(run.chunks.substr(0, 29), "000000000000000hhhhhhhhhhhhhh");
  EXPECT_EQ(run.chunks[29], '1');  // the last of the late one
  EXPECT_EQ(run.chunks[30], '2');  // asked for in step 29
  EXPECT_EQ(run.report.n_underruns, 14);
}

TEST(ControlLoop, HoldsTheLastAction) {
  CountingPlanner planner;
  CountingEnvironment environment;
  const PlanLatency latency = [](int64_t i_plan) { return milliseconds(i_plan == 0 ? 0 : 900); };
  ControlLoop loop(planner, {ControlMode::kAsync, 10, 0, false, latency});
  loop.run(environment, 1, 18, {});
  EXPECT_EQ(loop.report().n_underruns, 3);
  for (size_t i = 15; i < 18; ++i) EXPECT_EQ(environment.applied[i], environment.applied[14]);
}

// Where the chunk has no actions to spare, a plan is asked for while its predecessor's are
// executed.
TEST(ControlLoop, PlansAreAskedForSoonerWhereTheChunkIsShort) {
  CountingPlanner planner({2, 9, 8, 1, 2});
  CountingEnvironment environment;
  ControlLoop loop(planner, {ControlMode::kAsync, 10, 0, false, constant(milliseconds(350))});
  loop.run(environment, 1, 100, {});
  EXPECT_EQ(loop.report().n_underruns, 0);
  EXPECT_EQ(planner.seen[1].obs.back(), 4);  // steps 5, 6 and 7 are left, step 8 can be reached
  EXPECT_EQ(planner.seen[2].obs.back(), 8);
}

TEST(ControlLoop, InpaintingSaysWhichActionsAreBound) {
  const Course run = run_simulated(ControlMode::kAsyncInpaint, 30, 3);
  ASSERT_GE(run.seen.size(), 3U);
  EXPECT_TRUE(run.seen[0].frozen.empty());
  // Asked for in step 8, there for step 11: the actions of steps 8, 9 and 10 are bound.
  EXPECT_EQ(run.seen[1].frozen, (std::vector<float>{8, 0, 9, 0, 10, 0}));
  EXPECT_EQ(run.chunks.substr(8, 4), "0001");
  EXPECT_EQ(run.seen[2].frozen, (std::vector<float>{16, 1, 17, 1, 18, 1}));
  for (const auto& seen : run_simulated(ControlMode::kAsync, 30, 3).seen) {
    EXPECT_TRUE(seen.frozen.empty());
  }
}

TEST(ControlLoop, InpaintingBindsAHeldActionToo) {
  const Course run = run_simulated(ControlMode::kAsyncInpaint, 35, 0, [](int64_t i_plan) {
    return milliseconds(i_plan == 1 ? 2005 : 150);
  });
  // Asked for in step 29, behind a chunk that gave but one action; two steps are expected by then,
  // and one was over budget.
  ASSERT_GE(run.seen.size(), 3U);
  ASSERT_EQ(run.seen[2].frozen.size() % 2, 0U);
  EXPECT_GT(run.seen[2].frozen.size(), 2U);
  for (size_t i = 0; i < run.seen[2].frozen.size(); i += 2) {
    EXPECT_EQ(run.seen[2].frozen[i], run.seen[2].frozen[0]);
  }
}

// Behind the queue's end the robot holds what stands last in it, not what it does now.
TEST(ControlLoop, InpaintingBindsTheLastQueuedActionBehindTheQueue) {
  const Course run = run_simulated(ControlMode::kAsyncInpaint, 15, 0, constant(milliseconds(900)));
  // Every plan is there after ten steps. The second, asked for in step 5, comes in step 14 for the
  // steps 15 to 19; the third is asked for at once.
  ASSERT_EQ(run.seen.size(), 3U);
  EXPECT_EQ(run.seen[2].obs.back(), 14);
  EXPECT_EQ(run.seen[2].frozen, (std::vector<float>{14, 0, 15, 1, 16, 1, 17, 1, 18, 1,
                                                    19, 1, 19, 1, 19, 1, 19, 1, 19, 1}));
}

TEST(ControlLoop, SeedsAreOfTheEpisodeAndThePlan) {
  const Course run = run_simulated(ControlMode::kSync, 20, 0);
  for (int64_t i = 0; i < 3; ++i) EXPECT_EQ(run.seen[i].seed, seed_of(7, i));
  EXPECT_NE(seed_of(7, 0), seed_of(7, 1));
  EXPECT_NE(seed_of(7, 1), seed_of(8, 0));
}

TEST(ControlLoop, EndsWhenTheTaskIsDoneAndStartsAnew) {
  CountingPlanner planner;
  ControlLoop loop(planner, {ControlMode::kAsync, 10, 0, false, constant(milliseconds(350))});
  for (int episode = 0; episode < 3; ++episode) {
    CountingEnvironment environment(10);  // a plan is at work when it ends
    const EpisodeResult result = loop.run(environment, episode, 300, {});
    EXPECT_TRUE(result.is_done);
    EXPECT_EQ(result.n_ticks, 10);
    EXPECT_EQ(environment.applied[0][0], 0);
    EXPECT_EQ(environment.applied[9][0], 9);
  }
  EXPECT_EQ(loop.report().n_ticks(), 30);
  EXPECT_DOUBLE_EQ(loop.report().elapsed_s, 3);
}

TEST(ControlLoop, TellsWhatIsPlanned) {
  CountingPlanner planner;
  CountingEnvironment environment;
  ControlLoop loop(planner, {});
  std::vector<size_t> sizes;
  ControlEvents events;
  events.on_tick = [&](const ControlTick& tick) {
    sizes.push_back(tick.planned.size() / 2);
    if (!tick.planned.empty()) {
      EXPECT_EQ(tick.planned[0], static_cast<float>(tick.i_tick + 1));
    }
  };
  loop.run(environment, 1, 9, events);
  EXPECT_EQ(sizes, (std::vector<size_t>{7, 6, 5, 4, 3, 2, 1, 0, 7}));
}

TEST(ControlLoop, TwentySecondsOfSimulatedTimeAreTheSameEveryTime) {
  // Latencies of every kind, drawn from the plan's number.
  const PlanLatency latency = [](int64_t i_plan) {
    return milliseconds(static_cast<int64_t>(SplitMix64(i_plan).uniform() * 1500));
  };
  const Course first = run_simulated(ControlMode::kAsync, 200, 0, latency);
  const Course again = run_simulated(ControlMode::kAsync, 200, 0, latency);
  EXPECT_EQ(first.chunks, again.chunks);
  EXPECT_DOUBLE_EQ(first.report.elapsed_s, 20);
  EXPECT_EQ(first.report.n_ticks(), 200);
  EXPECT_EQ(first.report.n_misses, 0);
  EXPECT_EQ(first.report.chunk_s, again.report.chunk_s);
  EXPECT_EQ(first.report.n_underruns, std::ranges::count(first.chunks, 'h'));
  const Course sync = run_simulated(ControlMode::kSync, 200, 0);
  EXPECT_EQ(sync.report.n_chunks(), 25);
  EXPECT_EQ(sync.report.n_underruns, 0);
}

TEST(ControlLoop, IdlePlannerNeverRunsOut) {
  IdlePlanner planner(test::kPlannerShape);
  CountingEnvironment environment;
  ControlLoop loop(planner, {ControlMode::kAsync, 10, 0, false, {}});
  loop.run(environment, 1, 200, {});
  EXPECT_EQ(loop.report().n_underruns, 0);
  EXPECT_EQ(environment.applied.back(), (std::vector<float>{0, 0}));
}

TEST(ControlLoop, RefusesWhatCannotBe) {
  CountingPlanner planner;
  const auto refuses = [&](const ControlOptions& options, const std::string& part) {
    try {
      ControlLoop loop(planner, options);
      ADD_FAILURE() << part;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  };
  for (const double rate : {0.0, -1.0, 1e9, std::numeric_limits<double>::quiet_NaN()}) {
    refuses({ControlMode::kSync, rate, 0, false, {}}, "--rate");
  }
  refuses({ControlMode::kSync, 10, 1, false, {}}, "mode sync");
  refuses({ControlMode::kAsync, 10, 8, false, {}}, "0 to 7 steps");
  refuses({ControlMode::kAsync, 10, -1, false, {}}, "0 to 7 steps");
  IdlePlanner wide({2, 8, 8, 1, 2});
  EXPECT_THROW(ControlLoop(wide, {}), Error);
  IdlePlanner other({2, 16, 8, 3, 2});
  ControlLoop loop(other, {});
  CountingEnvironment environment;
  EXPECT_THROW(loop.run(environment, 1, 5, {}), Error);
}

TEST(ControlLoop, ModesHaveNames) {
  for (const ControlMode mode :
       {ControlMode::kSync, ControlMode::kAsync, ControlMode::kAsyncInpaint}) {
    EXPECT_EQ(parse_control_mode(to_string(mode)), mode);
  }
  try {
    parse_control_mode("asynch");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean 'async'"), std::string::npos);
  }
}

}  // namespace
}  // namespace reprise
