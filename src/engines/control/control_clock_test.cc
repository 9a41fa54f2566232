#include "engines/control/control_clock.h"

#include <gtest/gtest.h>

namespace reprise {
namespace {

using std::chrono::milliseconds;

bool never() { return false; }

TEST(ControlSchedule, DeadlinesDoNotDrift) {
  const ControlSchedule schedule(3, milliseconds(5));  // a period that is no whole number
  EXPECT_EQ(schedule.deadline(0), milliseconds(5));
  EXPECT_EQ(schedule.deadline(3'000'000), milliseconds(1'000'000'005));
  for (int64_t slot = 0; slot < 1000; ++slot) {
    const ControlTime due = schedule.deadline(slot);
    EXPECT_EQ(schedule.first_after(due - ControlTime(1)), slot);
    EXPECT_EQ(schedule.first_after(due), slot + 1);
  }
}

TEST(ControlSchedule, DelayMovesWhatComes) {
  ControlSchedule schedule(10, milliseconds(0));
  schedule.delay(milliseconds(30));
  EXPECT_EQ(schedule.deadline(2), milliseconds(230));
}

TEST(SimulatedClock, PassesTimeWhileAsleepOnly) {
  SimulatedClock clock;
  EXPECT_EQ(clock.now(), ControlTime(0));
  clock.sleep_until(milliseconds(70), never);
  EXPECT_EQ(clock.now(), milliseconds(70));
  clock.sleep_until(milliseconds(20), never);  // has gone by
  EXPECT_EQ(clock.now(), milliseconds(70));
  clock.sleep_until(milliseconds(90), [] { return true; });
  EXPECT_EQ(clock.now(), milliseconds(70));
}

TEST(SteadyClock, SleepsAtLeastUntilThen) {
  SteadyClock clock;
  const ControlTime until = clock.now() + milliseconds(60);  // more than one piece of its sleep
  clock.sleep_until(until, never);
  EXPECT_GE(clock.now(), until);
}

TEST(SteadyClock, ReturnsFromALongSleepWhenCancelled) {
  SteadyClock clock;
  int n_asked = 0;
  clock.sleep_until(clock.now() + std::chrono::hours(1), [&] { return ++n_asked > 2; });
  EXPECT_EQ(n_asked, 3);
}

}  // namespace
}  // namespace reprise
