#include "policies/kv/split.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <random>

#include "policies/kv/split_floor.h"

namespace reprise {
namespace {

using ::testing::ElementsAre;

// The worked example of the CAKE specification, section 7.3: L=3, C=16, w=8, S=40.
constexpr double kGoldenP[] = {0.10070726, 3.43640344, 10.77536305};

std::vector<int32_t> golden(std::vector<int32_t> (*split)(const SplitInput&), size_t n_known) {
  return split({std::span(kGoldenP).first(n_known), 24, 32, 3});
}

TEST(Split, OfficialMatchesGoldenStages) {
  EXPECT_THAT(golden(split_official, 1), ElementsAre(24));
  EXPECT_THAT(golden(split_official, 2), ElementsAre(1, 23));
  EXPECT_THAT(golden(split_official, 3), ElementsAre(1, 5, 18));
}

TEST(Split, WaterfillMatchesGoldenStages) {
  EXPECT_THAT(golden(split_waterfill, 1), ElementsAre(24));
  EXPECT_THAT(golden(split_waterfill, 2), ElementsAre(1, 23));
  EXPECT_THAT(golden(split_waterfill, 3), ElementsAre(0, 6, 18));
}

TEST(Split, UniformIgnoresPreference) {
  EXPECT_THAT(golden(split_uniform, 2), ElementsAre(8, 8));
  EXPECT_THAT(split_uniform({std::span(kGoldenP), 25, 32, 3}), ElementsAre(9, 8, 8));
  EXPECT_THAT(split_uniform({std::span(kGoldenP), 1000, 32, 3}), ElementsAre(32, 32, 32));
}

TEST(Split, PyramidFallsAndKeepsItsSum) {
  const std::vector<double> p(8, 0.0);
  const std::vector<int32_t> out = split_pyramid({p, 800, 1000, 8}, 20);
  EXPECT_TRUE(std::is_sorted(out.rbegin(), out.rend()));
  EXPECT_EQ(std::accumulate(out.begin(), out.end(), 0), 800);
  EXPECT_EQ(out.back(), 5);
}

TEST(Split, WaterfillSumsToBudgetAndNeverRises) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    std::mt19937 rng(seed);
    std::lognormal_distribution<double> draw(0, 1.25);
    std::vector<double> p(32);
    for (double& x : p) x = draw(rng);
    const int32_t cap = 2000 - 32;
    const int64_t n_total = int64_t{992} * 32;
    std::vector<int32_t> before;
    for (size_t m = 1; m <= p.size(); ++m) {
      const std::vector<int32_t> now = split_waterfill({std::span(p).first(m), n_total, cap, 32});
      EXPECT_EQ(std::accumulate(now.begin(), now.end(), int64_t{0}),
                std::min<int64_t>(n_total, static_cast<int64_t>(m) * cap))
          << "seed " << seed;
      for (size_t l = 0; l < before.size(); ++l) {
        EXPECT_LE(now[l], before[l]) << "seed " << seed << " layers " << m;
      }
      before = now;
    }
  }
}

// The rule itself, unit by unit: the layer with the largest P / (b + 1/2) gets the next one.
TEST(Split, WaterfillGivesUnitsByWebstersRule) {
  for (uint32_t seed = 0; seed < 100; ++seed) {
    std::mt19937 rng(seed);
    std::vector<double> p(1 + rng() % 12);
    for (double& x : p) x = 1 + static_cast<double>(rng() % 8);  // ties abound
    const auto cap = static_cast<int32_t>(1 + rng() % 30);
    const auto n_total = static_cast<int64_t>(rng() % (p.size() * cap + 5));
    std::vector<int32_t> want(p.size());
    for (int64_t i = 0; i < std::min<int64_t>(n_total, static_cast<int64_t>(p.size()) * cap); ++i) {
      size_t best = p.size();
      for (size_t l = 0; l < p.size(); ++l) {
        if (want[l] == cap) continue;
        const double more =
            best == p.size() ? 1 : p[l] * (2 * want[best] + 1) - p[best] * (2 * want[l] + 1);
        if (more > 0) best = l;
      }
      ++want[best];
    }
    EXPECT_EQ(split_waterfill({p, n_total, cap, static_cast<int32_t>(p.size())}), want)
        << "seed " << seed;
  }
}

// Behind earlier turns each layer has a number of candidates of its own.
TEST(Split, LayersOfDifferentSizesShareAllThereIs) {
  const double p[] = {1, 1, 1, 1};
  const int32_t caps[] = {3, 40, 0, 100};
  EXPECT_THAT(split_waterfill({p, 63, 0, 4, caps}), ElementsAre(3, 30, 0, 30));
  EXPECT_THAT(split_uniform({p, 63, 0, 4, caps}), ElementsAre(3, 30, 0, 30));
  EXPECT_THAT(split_waterfill({p, 1000, 0, 4, caps}), ElementsAre(3, 40, 0, 100));
  EXPECT_THAT(split_official({p, 1000, 0, 4, caps}), ElementsAre(3, 40, 0, 100));
  EXPECT_THAT(split_pyramid({p, 143, 0, 4, caps}, 20), ElementsAre(3, 40, 0, 100));
}

TEST(Split, LayersOfDifferentSizesNeverGetMoreAsOthersJoin) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    std::mt19937 rng(seed);
    std::lognormal_distribution<double> draw(0, 1.5);
    const size_t n = 2 + rng() % 14;
    std::vector<double> p(n);
    std::vector<int32_t> caps(n);
    for (size_t l = 0; l < n; ++l) {
      p[l] = draw(rng);
      caps[l] = static_cast<int32_t>(rng() % 200);
    }
    const auto n_layer = static_cast<int32_t>(n);
    const auto n_total = static_cast<int64_t>(rng() % (100 * n));
    const std::function<std::vector<int32_t>(const SplitInput&)> rules[] = {
        split_waterfill, split_uniform, [](const SplitInput& in) { return split_pyramid(in, 20); },
        [](const SplitInput& in) { return split_with_floor(split_waterfill, in, 20); }};
    for (const auto& rule : rules) {
      std::vector<int32_t> before;
      for (size_t m = 1; m <= n; ++m) {
        const std::vector<int32_t> now = rule({std::span(p).first(m), n_total, 0, n_layer, caps});
        for (size_t l = 0; l < m; ++l) {
          EXPECT_LE(now[l], caps[l]) << "seed " << seed;
          if (l < before.size()) {
            EXPECT_LE(now[l], before[l]) << "seed " << seed << " layers " << m;
          }
        }
        before = now;
      }
      EXPECT_EQ(std::accumulate(before.begin(), before.end(), int64_t{0}),
                std::min(n_total, std::accumulate(caps.begin(), caps.end(), int64_t{0})))
          << "seed " << seed;
    }
  }
}

TEST(Split, UnusablePreferenceIsUniform) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double bad[][2] = {{0, 0}, {1, nan}, {1, -1}, {1, INFINITY}};
  for (const auto& p : bad) {
    EXPECT_THAT(split_waterfill({p, 10, 8, 2}), ElementsAre(5, 5));
    EXPECT_THAT(split_official({p, 10, 8, 2}), ElementsAre(5, 5));
  }
}

}  // namespace
}  // namespace reprise
