#include "engines/control/action_noise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

namespace reprise {
namespace {

TEST(NormalStream, HasTheMomentsOfAUnitNormal) {
  constexpr int32_t kN = 100000;
  NormalStream stream(7);
  double sum = 0;
  double squares = 0;
  double fourth = 0;
  for (int32_t i = 0; i < kN; ++i) {
    const double value = stream.next();
    sum += value;
    squares += value * value;
    fourth += value * value * value * value;
  }
  // Five standard errors: of the mean 1/sqrt(n), of the square sqrt(2/n), of the fourth power
  // sqrt(96/n).
  EXPECT_NEAR(sum / kN, 0, 5 / std::sqrt(kN));
  EXPECT_NEAR(squares / kN, 1, 5 * std::sqrt(2.0 / kN));
  EXPECT_NEAR(fourth / kN, 3, 5 * std::sqrt(96.0 / kN));
}

TEST(NormalStream, IsTheSameForTheSameSeedHoweverItIsRead) {
  std::vector<float> at_once(11);
  NormalStream(42).fill(at_once);
  NormalStream stream(42);
  for (const float value : at_once) EXPECT_EQ(stream.next(), value);
}

TEST(SeedOf, DiffersForEverySeedAndUse) {
  std::set<uint64_t> seen;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    for (uint64_t use = 0; use < 100; ++use) seen.insert(seed_of(seed, use));
  }
  EXPECT_EQ(seen.size(), 10000U);
}

}  // namespace
}  // namespace reprise
