#include "engines/pusht/pusht_world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <type_traits>

#include "engines/pusht/legacy_reset.h"
#include "engines/pusht/named_motions.h"
#include "reprise/error.h"

namespace reprise {
namespace {

using testing::HasSubstr;

static_assert(std::is_trivially_copyable_v<PushtWorld>);

std::string refusal(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

double furthest(const PushtState& a, const PushtState& b) {
  return std::max(
      {distance(a.agent, b.agent), distance(a.block, b.block), std::abs(a.angle - b.angle)});
}

// Per substep v' = 0.8 v + e and e' = e - 0.01 v', e the way left: e_n = A p^n + B q^n with the
// roots of r^2 - 1.79 r + 0.8.
TEST(PushtWorld, TheAgentAnswersAStepAsTheRecurrenceSays) {
  const double p = (1.79 + std::sqrt(1.79 * 1.79 - 3.2)) / 2;
  const double q = (1.79 - std::sqrt(1.79 * 1.79 - 3.2)) / 2;
  const Vec2 start{40, 460};
  const Vec2 target{140, 380};
  PushtWorld world({start, {350, 150}, 0});
  for (int32_t n = kSubstepsPerControl; n <= 200; n += kSubstepsPerControl) {
    world.control(target);
    const double share_left = ((0.99 - q) * std::pow(p, n) + (p - 0.99) * std::pow(q, n)) / (p - q);
    // 200 substeps round numbers below 512 four times each.
    EXPECT_NEAR(distance(world.state().agent, target - (target - start) * share_left), 0,
                800 * 512 * 0x1p-53)
        << n;
  }
}

TEST(PushtWorld, TheAgentPassesThroughWalls) {
  PushtWorld world({{30, 30}, {350, 350}, 0});
  for (int32_t i = 0; i < 20; ++i) world.control({-100, -50});
  EXPECT_NEAR(distance(world.state().agent, {-100, -50}), 0, 1e-3);  // 130 px * p^200
}

TEST(PushtWorld, TheBlockDoesNotCoast) {
  PushtWorld world({{256, 170}, {256, 200}, 0}, PlacedBy::kExact);
  for (int32_t i = 1; i <= 5; ++i) world.control({256, 170.0 + 10 * i});
  EXPECT_GT(world.state().block.y, 205);
  EXPECT_GT(world.block_velocity().y, 10);
  world.control({256, 120});  // turning back takes a few substeps
  world.control({256, 120});
  EXPECT_EQ(world.block_velocity(), Vec2{});
  const PushtState left = world.state();
  for (int32_t i = 0; i < 5; ++i) world.control({256, 120});
  EXPECT_EQ(world.state().block, left.block);
  EXPECT_EQ(world.state().angle, left.angle);
}

TEST(PushtWorld, AgentAlongAnEdgeMovesNothing) {
  // It overlaps the bar by less than the 0.1 px that the solver leaves in peace; friction would
  // drag the block along.
  PushtWorld world({{220, 185.05}, {256, 200}, 0}, PlacedBy::kExact);
  for (int32_t i = 1; i <= 6; ++i) world.control({220.0 + 12 * i, 185.05});
  EXPECT_GT(world.state().agent.x, 260);
  EXPECT_NEAR(world.state().block.x, 256, 1e-12);
  EXPECT_NEAR(world.state().block.y, 200, 1e-12);
  EXPECT_NEAR(world.state().angle, 0, 1e-12);
}

TEST(PushtWorld, ASlantedPushActsAlongTheNormalOnly) {
  // At the middle of the edge and parallel to it the block keeps its x in the first touch.
  PushtWorld world({{256, 184.99}, {256, 200}, 0}, PlacedBy::kExact);
  const Vec2 target{256 + 1, 184.99 + 1};
  world.control(target);
  EXPECT_GT(world.state().block.y, 200.1);
  // The push wanders off the middle by less than a pixel of 45 px of leverage, so that it turns the
  // block and its normal by less than 1/50 of what it moves; with friction it would be the whole.
  EXPECT_LT(std::abs(world.state().block.x - 256), (world.state().block.y - 200) / 20);
}

// The bar lies 53 px from a wall's surface, along it, and the agent pushes the stem's end 55 px.
TEST(PushtWorld, WallsHoldTheBlock) {
  struct Drive {
    Vec2 block;
    double angle;
    Vec2 way;  // to the wall
  };
  const Drive drives[] = {{{256, kWallNear + kWallRadius + 53}, 0, {0, -1}},
                          {{kWallFar - kWallRadius - 53, 256}, std::numbers::pi / 2, {1, 0}}};
  for (const auto& [block, angle, way] : drives) {
    // Of the corner nearest to the wall, how far it is in it.
    const auto depth = [block = block, way = way](const PushtWorld& world) {
      double deepest = -INFINITY;
      for (const Vec2 corner : block_outline(world.state().block, world.state().angle)) {
        deepest = std::max(deepest, dot(corner - block, way) - 53);
      }
      return deepest;
    };
    const Vec2 touch = block - way * (120 + kAgentRadius);
    PushtWorld world({touch - way * 20, block, angle}, PlacedBy::kExact);
    for (int32_t i = 1; i <= 40; ++i) world.control(touch + way * std::min(2.5 * i - 20, 55.0));
    EXPECT_GT(depth(world), 0);
    EXPECT_LT(depth(world), 2);  // agent and wall share the 2 px too many
    for (int32_t i = 0; i < 30; ++i) world.control(touch);
    // 0.1 px are left in peace; of the rest 6 % are undone a substep, and 0.94^250 is 2e-7.
    EXPECT_LT(depth(world), 0.1 + 2 * 2e-7);
  }
}

TEST(PushtWorld, CopiesGoTheirOwnWay) {
  PushtWorld world(legacy_state(3));
  for (int32_t i = 0; i < 10; ++i) world.control(world.block_centre());
  PushtWorld copy = world;
  const PushtState before = world.state();
  for (int32_t i = 0; i < 10; ++i) copy.control({0, 0});
  EXPECT_EQ(world.state(), before);
  for (int32_t i = 0; i < 10; ++i) world.control({0, 0});
  EXPECT_EQ(world.state(), copy.state());
}

TEST(PushtWorld, IsSymmetricUnderReflection) {
  // (x, y) -> (y, x) swaps the walls and mirrors the block at its stem; bodies meet in another
  // order there, so the pushes here touch one part at a time.
  PushtWorld world({{226, 170}, {256, 200}, 0}, PlacedBy::kExact);
  PushtWorld mirror({{170, 226}, {200, 256}, -std::numbers::pi / 2}, PlacedBy::kExact);
  for (int32_t i = 1; i <= 20; ++i) {
    world.control({226, 170.0 + 5 * i});
    mirror.control({170.0 + 5 * i, 226});
  }
  const PushtState a = world.state();
  const PushtState b = mirror.state();
  EXPECT_GT(std::abs(a.angle), 0.05);
  EXPECT_NEAR(
      furthest(a,
               {{b.agent.y, b.agent.x}, {b.block.y, b.block.x}, -std::numbers::pi / 2 - b.angle}),
      0, 1e-9);
}

TEST(PushtWorld, RefusesWhatIsNoPlace) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(refusal([&] { PushtWorld({{nan, 0}, {}, 0}); }), HasSubstr("the agent's x is nan"));
  EXPECT_THAT(refusal([&] {
                PushtWorld({{}, {0, -INFINITY}, 0});
              }),
              HasSubstr("the block's y is -inf"));
  EXPECT_THAT(refusal([&] { PushtWorld({{}, {}, nan}); }), HasSubstr("the block's angle is nan"));
  PushtWorld world(legacy_state(0));
  const PushtState before = world.state();
  EXPECT_THAT(refusal([&] { world.control({nan, 1}); }), HasSubstr("an action's x is nan"));
  EXPECT_THAT(refusal([&] { world.control({1, INFINITY}); }), HasSubstr("an action's y is inf"));
  EXPECT_THAT(refusal([&] { world.control({1e7, 1}); }), HasSubstr("from -1000000 to 1000000"));
  EXPECT_EQ(world.state(), before);
}

}  // namespace
}  // namespace reprise
