#include "policies/branch/bubbling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace reprise {
namespace {

using ::testing::ElementsAre;

BranchSchedule two_layers() {
  BranchSchedule schedule({.n_layers = 2, .n_steps = 8}, false);
  schedule.set_steps(2, std::vector<int32_t>{0, 5});
  schedule.set_steps(5, std::vector<int32_t>{0, 7});
  return schedule;
}

TEST(Bubbling, JoinsTheMostVolatileWithTheFeedForwardBranchesBehind) {
  BranchSchedule schedule = two_layers();
  bubble_up(std::vector<double>{9, 1, 8, 1, 1, 1}, 2, schedule);
  EXPECT_THAT(schedule.steps_of(0), ElementsAre(0, 5, 7));
  EXPECT_THAT(schedule.steps_of(1), ElementsAre(0));
  EXPECT_THAT(schedule.steps_of(2), ElementsAre(0, 5, 7));
  EXPECT_THAT(schedule.steps_of(3), ElementsAre(0));
  EXPECT_THAT(schedule.steps_of(4), ElementsAre(0));
  EXPECT_THAT(schedule.steps_of(5), ElementsAre(0, 7));
}

// What comes before a branch never matters to it: errors of earlier layers are left alone.
TEST(Bubbling, NeverLooksAtEarlierLayers) {
  BranchSchedule schedule = two_layers();
  bubble_up(std::vector<double>{1, 1, 1, 9, 8, 7}, 3, schedule);
  EXPECT_THAT(schedule.steps_of(2), ElementsAre(0, 5));
  for (const int32_t b : {3, 4, 5}) EXPECT_THAT(schedule.steps_of(b), ElementsAre(0, 7));
}

TEST(Bubbling, KnowsTheFeedForwardBranchesOfAnEncoder) {
  BranchSchedule schedule({.n_layers = 2, .n_steps = 8, .n_of_a_layer = 2}, false);
  schedule.set_steps(1, std::vector<int32_t>{0, 5});
  schedule.set_steps(2, std::vector<int32_t>{0, 3});
  schedule.set_steps(3, std::vector<int32_t>{0, 7});
  bubble_up(std::vector<double>{9, 1, 8, 1}, 2, schedule);
  EXPECT_THAT(schedule.steps_of(0), ElementsAre(0, 5, 7));
  EXPECT_THAT(schedule.steps_of(1), ElementsAre(0, 5));
  EXPECT_THAT(schedule.steps_of(2), ElementsAre(0, 3, 7));
  EXPECT_THAT(schedule.steps_of(3), ElementsAre(0, 7));
}

TEST(Bubbling, DoesNothingBelowTwo) {
  for (const int32_t n : {0, 1}) {
    BranchSchedule schedule = two_layers();
    bubble_up(std::vector<double>{9, 1, 8, 1, 1, 1}, n, schedule);
    EXPECT_EQ(schedule, two_layers());
  }
}

TEST(Bubbling, RanksEqualOnesInTheOrderOfExecution) {
  const std::vector<double> volatility = {1, 3, 2, 3, 0, 3};
  EXPECT_THAT(most_volatile(volatility, 2), ElementsAre(1, 3));
  EXPECT_THAT(most_volatile(volatility, 6), ElementsAre(1, 3, 5, 2, 0, 4));
  EXPECT_THAT(most_volatile(volatility, 0), ElementsAre());
}

}  // namespace
}  // namespace reprise
