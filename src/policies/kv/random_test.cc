#include "policies/kv/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace reprise {
namespace {

constexpr int32_t kCandidates = 20000;

std::vector<float> draw(std::string_view spec, int32_t il) {
  std::vector<float> scores(kCandidates * 2);
  make_kv_policy(spec)->score({.il = il, .n_candidates = kCandidates, .n_head_kv = 2}, scores);
  return scores;
}

// Pearson's coefficient; of independent draws it lies within 5 / sqrt(n) of 0 but once in two
// million.
double correlation(const std::vector<float>& a, const std::vector<float>& b) {
  double aa = 0;
  double bb = 0;
  double ab = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    aa += (a[i] - 0.5) * (a[i] - 0.5);
    bb += (b[i] - 0.5) * (b[i] - 0.5);
    ab += (a[i] - 0.5) * (b[i] - 0.5);
  }
  return ab / std::sqrt(aa * bb);
}

TEST(RandomKv, RepeatsAndDependsOnSeedLayerAndHead) {
  const std::vector<float> base = draw("random", 0);
  const double bound = 5 / std::sqrt(static_cast<double>(base.size()));
  EXPECT_EQ(base, draw("random", 0));
  EXPECT_EQ(base, draw("random:seed=42", 0));
  EXPECT_LT(std::abs(correlation(base, draw("random:seed=43", 0))), bound);
  EXPECT_LT(std::abs(correlation(base, draw("random", 1))), bound);
  std::vector<float> swapped = base;
  std::ranges::rotate(swapped, swapped.begin() + kCandidates);
  EXPECT_LT(std::abs(correlation(base, swapped)), bound);
  std::vector<float> shifted = base;
  std::ranges::rotate(shifted, shifted.begin() + 1);
  EXPECT_LT(std::abs(correlation(base, shifted)), bound);
}

TEST(RandomKv, IsUniform) {
  const std::vector<float> base = draw("random", 5);
  for (int tenth = 0; tenth < 10; ++tenth) {
    const auto n = std::ranges::count_if(
        base, [&](float s) { return s >= tenth * 0.1F && s < (tenth + 1) * 0.1F; });
    // Binomial: 4,000 expected, standard deviation 60.
    EXPECT_NEAR(static_cast<double>(n), 4000, 300) << tenth;
  }
  EXPECT_GE(*std::ranges::min_element(base), 0);
  EXPECT_LT(*std::ranges::max_element(base), 1);
}

TEST(RandomKv, RefusesANegativeSeed) { EXPECT_THROW(make_kv_policy("random:seed=-1"), Error); }

}  // namespace
}  // namespace reprise
