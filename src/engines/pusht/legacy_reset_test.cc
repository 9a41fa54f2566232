#include "engines/pusht/legacy_reset.h"

#include <gtest/gtest.h>

#include <cmath>

#include "engines/pusht/pusht_world.h"

namespace reprise {
namespace {

// From numpy.random.RandomState(seed) itself.
TEST(LegacyState, EqualsNumPy) {
  const PushtState first = legacy_state(100000);
  EXPECT_EQ(first.agent, (Vec2{235, 124}));
  EXPECT_EQ(first.block, (Vec2{335, 128}));
  // The logarithm's last bit may differ from libm to libm.
  EXPECT_NEAR(first.angle, -0.9049274284249247, 1e-14);
  const PushtState zero = legacy_state(0);
  EXPECT_EQ(zero.agent, (Vec2{222, 97}));
  EXPECT_EQ(zero.block, (Vec2{217, 292}));
  EXPECT_NEAR(zero.angle, 3.0079994677219553, 1e-14);
}

TEST(LegacyState, StaysInItsRanges) {
  for (uint32_t seed = 0; seed < 2000; ++seed) {
    const PushtState state = legacy_state(seed);
    for (const double v : {state.agent.x, state.agent.y}) EXPECT_TRUE(v >= 50 && v < 450) << seed;
    for (const double v : {state.block.x, state.block.y}) EXPECT_TRUE(v >= 100 && v < 400) << seed;
    EXPECT_TRUE(std::isfinite(state.angle)) << seed;
  }
}

// The unit test of gym-pusht: a block set to (20, 30) and turned by 1 lies elsewhere.
TEST(LegacyState, PlacingTurnsAboutTheCentreOfGravity) {
  const PushtState state = PushtWorld({{0, 10}, {20, 30}, 1.0}).state();
  EXPECT_EQ(state.agent, (Vec2{0, 10}));
  EXPECT_NEAR(state.block.x, 57.866194, 5e-7);  // as many digits as it gives
  EXPECT_NEAR(state.block.y, 50.686396, 5e-7);
  EXPECT_EQ(state.angle, 1);
}

}  // namespace
}  // namespace reprise
