#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <thread>

#include "engines/control/control_loop.h"
#include "support/counting_control.h"

namespace reprise {
namespace {

using std::chrono::milliseconds;
using test::CountingEnvironment;
using test::CountingPlanner;

// By the machine's clock: order and counts, no speed.
TEST(ControlLoopInRealTime, AppliesActionsInOrderWhileAnotherThreadPlans) {
  for (const ControlMode mode : {ControlMode::kAsync, ControlMode::kAsyncInpaint}) {
    CountingPlanner planner;
    CountingEnvironment environment;
    ControlLoop loop(planner, {mode, 200, 0, true, {}});
    int64_t n_fresh = 0;
    ControlEvents events;
    events.on_tick = [&](const ControlTick& tick) {
      n_fresh += tick.is_fresh ? 1 : 0;
      // A late chunk's last action may stand on a later step; a fresh one is never of the past.
      if (tick.is_fresh && loop.report().n_over_budget == 0) {
        EXPECT_EQ(tick.action[0], static_cast<float>(tick.i_tick));
      }
    };
    const EpisodeResult result = loop.run(environment, 1, 100, events);
    const ControlReport& report = loop.report();
    EXPECT_EQ(result.n_ticks, 100);
    EXPECT_EQ(report.n_ticks(), 100);
    EXPECT_EQ(report.n_ticks() - report.n_underruns, n_fresh);
    EXPECT_GE(report.elapsed_s, 0.5);  // it never runs ahead of its rate
    EXPECT_GT(report.n_chunks(), 1);
    for (const double late : report.tick_s) EXPECT_GE(late, 0);
    EXPECT_EQ(report.n_misses, std::ranges::count_if(report.tick_s, [](double late) {
                return late > ControlReport::kMissS;
              }));
  }
}

// Takes longer than a tick, and says when it is at work.
class SlowPlanner final : public ChunkPlanner {
 public:
  const PlannerShape& shape() const override { return test::kPlannerShape; }
  std::vector<float> plan(const PlanRequest& /*request*/) override {
    is_planning = true;
    std::this_thread::sleep_for(milliseconds(30));
    is_planning = false;
    ++n_planned;
    return std::vector<float>(32, 1.0F);
  }
  std::atomic<bool> is_planning = false;
  std::atomic<int> n_planned = 0;
};

// A clock that passes only while the loop sleeps and the planner works. In sync mode the loop waits
// while the planner's thread moves it.
class WorkingClock final : public ControlClock {
 public:
  ControlTime now() const override { return now_; }
  void sleep_until(ControlTime time, const IsCancelled& /*is_cancelled*/) override {
    now_ = std::max(now_, time) + oversleep;
  }
  void work(ControlTime time) { now_ += time; }

  ControlTime oversleep{0};

 private:
  ControlTime now_{0};
};

// Takes 300 ms of that clock.
class WorkingPlanner final : public ChunkPlanner {
 public:
  const PlannerShape& shape() const override { return test::kPlannerShape; }
  std::vector<float> plan(const PlanRequest& /*request*/) override {
    clock->work(milliseconds(300));
    return std::vector<float>(32, 1.0F);
  }
  WorkingClock* clock = nullptr;
};

// What the robot waits for as planned makes no tick late; what comes late besides does.
TEST(ControlLoopInRealTime, SyncCountsNoPlannedPauseAsAMiss) {
  for (const int oversleep_ms : {0, 4, 20}) {
    auto clock = std::make_unique<WorkingClock>();
    clock->oversleep = milliseconds(oversleep_ms);
    WorkingPlanner planner;
    planner.clock = clock.get();
    CountingEnvironment environment;
    ControlLoop loop(planner, {ControlMode::kSync, 10, 0, true, {}}, std::move(clock));
    loop.run(environment, 1, 24, {});
    const ControlReport& report = loop.report();
    EXPECT_EQ(report.n_chunks(), 3);
    EXPECT_EQ(report.n_misses, oversleep_ms > 10 ? 24 : 0);
    for (const double late : report.tick_s) EXPECT_NEAR(late, 1e-3 * oversleep_ms, 1e-9);
    // 24 steps of 100 ms, and two plans of 300: the first is made before the episode begins.
    EXPECT_NEAR(report.elapsed_s, 3 + 1e-3 * oversleep_ms, 1e-9);
  }
}

TEST(ControlLoopInRealTime, SyncShiftsTheScheduleByEachPlan) {
  SlowPlanner planner;
  CountingEnvironment environment;
  ControlLoop loop(planner, {ControlMode::kSync, 200, 0, true, {}});
  loop.run(environment, 1, 24, {});
  const ControlReport& report = loop.report();
  EXPECT_EQ(report.n_chunks(), 3);
  EXPECT_EQ(report.n_underruns, 0);
  // 24 steps of 5 ms and two plans of 30: less would say that late steps were hurried.
  EXPECT_GE(report.elapsed_s, 0.18);
}

TEST(ControlLoopInRealTime, TicksGoOnWhileAPlanIsMade) {
  SlowPlanner planner;
  CountingEnvironment environment;
  ControlLoop loop(planner, {ControlMode::kAsync, 200, 0, true, {}});
  int n_meanwhile = 0;
  ControlEvents events;
  events.on_tick = [&](const ControlTick&) { n_meanwhile += planner.is_planning ? 1 : 0; };
  loop.run(environment, 1, 100, events);
  EXPECT_GT(n_meanwhile, 0);
}

TEST(ControlLoopInRealTime, FinishWaitsForThePlanAtWork) {
  SlowPlanner planner;
  CountingEnvironment environment;
  ControlLoop loop(planner, {ControlMode::kAsync, 200, 0, true, {}});
  ControlEvents events;
  bool is_late = false;  // just after the second plan was asked for
  events.on_tick = [&](const ControlTick& tick) { is_late = tick.n_chunks > 1; };
  events.is_cancelled = [&] { return is_late; };
  EXPECT_TRUE(loop.run(environment, 1, 1000, events).was_cancelled);
  loop.finish();
  EXPECT_EQ(planner.n_planned, 2);
  EXPECT_FALSE(planner.is_planning);
}

TEST(ControlLoopInRealTime, IsCancelledAtAnyMoment) {
  for (const int n_until : {1, 2, 3, 20, 50}) {
    SlowPlanner planner;
    CountingEnvironment environment;
    ControlLoop loop(planner, {ControlMode::kAsync, 20, 0, true, {}});
    int n_asked = 0;
    ControlEvents events;
    events.is_cancelled = [&] { return ++n_asked >= n_until; };
    const EpisodeResult result =
        loop.run(environment, 1, std::numeric_limits<int64_t>::max(), events);
    EXPECT_TRUE(result.was_cancelled);
    EXPECT_EQ(result.n_ticks, std::ssize(environment.applied));
    // And may be used again.
    EXPECT_EQ(loop.run(environment, 1, 1, {}).n_ticks, 1);
  }
}

}  // namespace
}  // namespace reprise
