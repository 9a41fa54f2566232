#include "policies/kv/split_floor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

namespace reprise {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Ge;

constexpr double kSteep[] = {1, 9, 90};

TEST(SplitFloor, RaisesTheLowAndChargesTheOthersByPreference) {
  EXPECT_THAT(split_with_floor(split_waterfill, {kSteep, 100, 200, 3}, 0), ElementsAre(1, 9, 90));
  EXPECT_THAT(split_with_floor(split_waterfill, {kSteep, 100, 200, 3}, 5), ElementsAre(5, 9, 86));
  // What the first raise takes brings the second layer down too.
  EXPECT_THAT(split_with_floor(split_waterfill, {kSteep, 100, 200, 3}, 9), ElementsAre(9, 9, 82));
  EXPECT_THAT(split_with_floor(split_official, {kSteep, 100, 200, 3}, 20), ElementsAre(20, 20, 60));
}

TEST(SplitFloor, IsLoweredToWhatThereIs) {
  EXPECT_THAT(split_with_floor(split_waterfill, {kSteep, 10, 200, 3}, 1000), ElementsAre(3, 3, 4));
  EXPECT_THAT(split_with_floor(split_waterfill, {kSteep, 100, 2, 3}, 50), ElementsAre(2, 2, 2));
  // An even share counts the layers yet unknown, which is what a cascade needs.
  EXPECT_THAT(split_with_floor(split_waterfill, {std::span(kSteep).first(2), 30, 200, 3}, 50),
              ElementsAre(10, 20));
}

TEST(SplitFloor, KeepsTheSumAndNeverRises) {
  for (uint32_t seed = 0; seed < 100; ++seed) {
    std::mt19937 rng(seed);
    std::lognormal_distribution<double> draw(0, 1.5);
    std::vector<double> p(16);
    for (double& x : p) x = draw(rng);
    constexpr int32_t kCap = 300;
    constexpr int64_t kTotal = 16 * 100;
    const auto n_min = static_cast<int32_t>(rng() % 100);
    std::vector<int32_t> before;
    for (size_t m = 1; m <= p.size(); ++m) {
      const std::vector<int32_t> now =
          split_with_floor(split_waterfill, {std::span(p).first(m), kTotal, kCap, 16}, n_min);
      EXPECT_EQ(std::accumulate(now.begin(), now.end(), int64_t{0}),
                std::min<int64_t>(kTotal, static_cast<int64_t>(m) * kCap))
          << "seed " << seed << " layers " << m;
      EXPECT_THAT(now, Each(Ge(n_min))) << "seed " << seed;
      for (size_t l = 0; l < before.size(); ++l) {
        EXPECT_LE(now[l], before[l]) << "seed " << seed << " layers " << m;
      }
      before = now;
    }
  }
}

}  // namespace
}  // namespace reprise
