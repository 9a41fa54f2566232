#include "engines/pusht/observation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "reprise/error.h"

namespace reprise {
namespace {

TEST(Observation, GoesAroundTheOutlineAndEndsWithTheAgent) {
  const std::array<float, 18> upright = {40,  200, 160, 200, 160, 230, 115, 230, 115,
                                         320, 85,  320, 85,  230, 40,  230, 7,   8};
  EXPECT_EQ(observation({{7, 8}, {100, 200}, 0}), upright);
  // A quarter turn takes (x, y) to (-y, x).
  const auto turned = observation({{7, 8}, {100, 200}, std::numbers::pi / 2});
  for (size_t i = 0; i < 16; i += 2) {
    EXPECT_NEAR(turned[i], 100 - (upright[i + 1] - 200), 1e-4) << i;  // F32 of hundreds of pixels
    EXPECT_NEAR(turned[i + 1], 200 + (upright[i] - 100), 1e-4) << i;
  }
}

TEST(Observation, RefusesNumbersThatAreNone) {
  EXPECT_THROW(observation({{0, std::numeric_limits<double>::quiet_NaN()}, {}, 0}), Error);
  EXPECT_THROW(observation({{}, {}, INFINITY}), Error);
  EXPECT_THROW(observation({{}, {1.1e6, 0}, 0}), Error);
}

}  // namespace
}  // namespace reprise
