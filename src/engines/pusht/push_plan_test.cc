#include "engines/pusht/push_plan.h"

#include <gtest/gtest.h>

#include <cmath>

#include "engines/pusht/legacy_reset.h"

namespace reprise {
namespace {

TEST(PushPlan, TheDistanceToTheGoalIsThatOfTheCorners) {
  EXPECT_NEAR(distance_to_goal(PushtWorld({{50, 50}, kGoalBlock, kGoalAngle}, PlacedBy::kExact)), 0,
              1e-12);
  // Every corner is 5 px off.
  EXPECT_NEAR(distance_to_goal(
                  PushtWorld({{50, 50}, kGoalBlock + Vec2{3, 4}, kGoalAngle}, PlacedBy::kExact)),
              5, 1e-12);
}

TEST(PushPlan, DistanceToTheBlockByTable) {
  const std::pair<Vec2, double> cases[] = {{{256, 210}, 0},  {{256, 190}, 10}, {{256, 330}, 10},
                                           {{186, 215}, 10}, {{276, 235}, 5},  {{319, 234}, 5}};
  const PushtWorld world({{50, 50}, {256, 200}, 0}, PlacedBy::kExact);
  for (const auto& [point, want] : cases) {
    EXPECT_NEAR(distance_to_block(world, point), want, 1e-12) << point.x << ", " << point.y;
  }
}

TEST(PushPlan, DrivesABlockHome) {
  // 20 px above the goal along the stem: the best push is against the bar's outer edge.
  const Rotation goal(kGoalAngle);
  const Vec2 block = kGoalBlock + goal.apply({0, -20});
  const PushtWorld world({{60, 60}, block, kGoalAngle}, PlacedBy::kExact);
  const std::optional<Push> push = plan_push(world, Lookahead::kOnePush, 5);
  ASSERT_TRUE(push);
  EXPECT_LT(goal.undo(push->start - block).y, -17);
  EXPECT_GT(goal.undo(push->step).y, 4);
  EXPECT_LT(push->cost, 4);
  EXPECT_EQ(push->target(0), push->start + push->step);
}

TEST(PushPlan, StartsKeepClearOfTheBlockAndInTheWindow) {
  for (uint32_t seed = 0; seed < 10; ++seed) {
    const PushtWorld world(legacy_state(seed));
    const std::optional<Push> push = plan_push(world, Lookahead::kOnePush, 11);
    ASSERT_TRUE(push) << seed;
    EXPECT_GE(distance_to_block(world, push->start), 17) << seed;
    EXPECT_NEAR(length(push->step), 11, 1e-12) << seed;
    EXPECT_GT(std::min(push->start.x, push->start.y), 15.99) << seed;
    EXPECT_LT(std::max(push->start.x, push->start.y), 496.01) << seed;
  }
}

TEST(PushPlan, NoPlaceToStandIsNoPush) {
  EXPECT_FALSE(plan_push(PushtWorld({{0, 0}, {2000, 2000}, 0}), Lookahead::kOnePush, 11));
  EXPECT_FALSE(plan_push(PushtWorld({{0, 0}, {2000, 2000}, 0}), Lookahead::kTwoPushes, 11));
}

}  // namespace
}  // namespace reprise
