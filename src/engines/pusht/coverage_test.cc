#include "engines/pusht/coverage.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/split_mix.h"
#include "reprise/error.h"

namespace reprise {
namespace {

constexpr double kPi = std::numbers::pi;
// A clipped area is a sum of products of window coordinates, 512^2, each rounded to 2^-53; there
// are fewer than 100 of them.
constexpr double kAreaRounding = 100 * 512.0 * 512.0 * 0x1p-53;
constexpr double kRounding = kAreaRounding / kBlockArea;

TEST(Coverage, IsOneAtTheGoalHoweverItIsTurned) {
  EXPECT_NEAR(coverage({{}, kGoalBlock, kGoalAngle}), 1, kRounding);
  EXPECT_NEAR(coverage({{}, kGoalBlock, kGoalAngle - 2 * kPi}), 1, kRounding);
}

TEST(Coverage, IsZeroFarAway) {
  EXPECT_EQ(coverage({{}, {450, 60}, 0}), 0);
  EXPECT_EQ(coverage({{}, {-1e5, 1e5}, 3}), 0);
}

TEST(Coverage, FollowsSmallShifts) {
  // The same orientation, shifted along the bar by s <= 30: both parts lose s times their length
  // across the shift, the bar 30 and the stem 90, and overlap the other's part nowhere.
  for (const double s : {0.5, 5.0, 30.0}) {
    const Vec2 shifted = kGoalBlock + Rotation(kGoalAngle).apply({s, 0});
    EXPECT_NEAR(coverage({{}, shifted, kGoalAngle}), 1 - s * (30 + 90) / kBlockArea, kRounding)
        << s;
  }
  // Along the stem: the bar loses 120 s and the stem 30 s, but the block's bar covers s of the
  // goal's stem, 30 wide, and its stem nothing of the goal's bar.
  const Vec2 down = kGoalBlock + Rotation(kGoalAngle).apply({0, 5});
  EXPECT_NEAR(coverage({{}, down, kGoalAngle}), 1 - 5.0 * (120 + 30 - 30) / kBlockArea, kRounding);
}

TEST(Coverage, TurnedAroundTheStemCoversItself) {
  // Half a turn about the origin: bars meet edge to edge, stems point away.
  EXPECT_NEAR(coverage({{}, kGoalBlock, kGoalAngle + kPi}), 0, kRounding);
}

TEST(Coverage, AgreesWithCountedPoints) {
  SplitMix64 random(7);
  for (int32_t i_pose = 0; i_pose < 20; ++i_pose) {
    const PushtState state{{},
                           {206 + 100 * random.uniform(), 206 + 100 * random.uniform()},
                           2 * kPi * random.uniform()};
    constexpr int32_t kPoints = 40'000;
    int32_t n_both = 0;
    for (int32_t i = 0; i < kPoints; ++i) {  // over a square that holds the goal
      const Vec2 point{100 + 312 * random.uniform(), 100 + 312 * random.uniform()};
      const auto inside = [&](Vec2 block, double angle) {
        return distance_to_block(Rotation(angle).undo(point - block)) == 0;
      };
      n_both += inside(kGoalBlock, kGoalAngle) && inside(state.block, state.angle);
    }
    // Five standard deviations of a binomial share, at most half a standard unit each.
    const double of_square = 312.0 * 312.0 / kBlockArea;
    const double share = static_cast<double>(n_both) / kPoints;
    const double bound = 5 * std::sqrt((share + 1e-4) * (1 - share) / kPoints) * of_square;
    EXPECT_NEAR(coverage(state), share * of_square, bound) << "pose " << i_pose;
  }
}

TEST(Coverage, RewardIsCappedAtTheSolvedShare) {
  EXPECT_EQ(pusht_reward(0), 0);
  EXPECT_EQ(pusht_reward(kSolvedCoverage / 2), 0.5);
  EXPECT_EQ(pusht_reward(0.99), 1);
  EXPECT_EQ(pusht_reward(-1e-18), 0);
  EXPECT_FALSE(is_solved(kSolvedCoverage));
  EXPECT_TRUE(is_solved(0.9501));
}

TEST(Coverage, RefusesNumbersThatAreNone) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(coverage({{nan, 0}, {}, 0}), Error);
  EXPECT_THROW(coverage({{}, {0, INFINITY}, 0}), Error);
  EXPECT_THROW(coverage({{}, {}, -INFINITY}), Error);
}

}  // namespace
}  // namespace reprise
