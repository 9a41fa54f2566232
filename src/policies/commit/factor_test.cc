#include "policies/commit/factor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "core/error.h"
#include "core/split_mix.h"
#include "support/commit_choice.h"

namespace reprise {
namespace {

using test::chosen;
using ::testing::ElementsAre;

TEST(FactorCommit, TakesTheLongestPrefixOfTheRule) {
  // 2 * 0.25 and 3 * 0.25 are below 1, 4 * 0.25 is not: the bound itself is refused.
  EXPECT_THAT(chosen("factor", {0.75F, 0.75F, 0.75F, 0.75F}), ElementsAre(0, 1));
  // In order of confidence: 2 * 0.125, 3 * 0.25, then 4 * 0.5 fails.
  EXPECT_THAT(chosen("factor", {0.5F, 0.75F, 0.25F, 0.875F}), ElementsAre(1, 3));
  // None: the surest all the same, the first among equals.
  EXPECT_THAT(chosen("factor", {0.25F, 0.5F, 0.5F}), ElementsAre(1));
  EXPECT_THAT(chosen("factor", {0.0F}), ElementsAre(0));
  EXPECT_THAT(chosen("factor", {1.0F, 1.0F, 1.0F}), ElementsAre(0, 1, 2));
  EXPECT_THAT(chosen("factor:f=0.5", {0.75F, 0.875F}), ElementsAre(1));
  EXPECT_THAT(chosen("factor:f=2", {0.5F, 0.5F, 0.5F}), ElementsAre(0, 1));
}

// The published code commits the last candidate although 3 * (1 - 0.5) is above 1.
TEST(FactorCommit, LeavesALastCandidateThatFails) {
  EXPECT_THAT(chosen("factor", {0.9375F, 0.5F}), ElementsAre(0));
}

TEST(FactorCommit, EveryPrefixHoldsAndTheNextFails) {
  for (uint64_t seed = 0; seed < 500; ++seed) {
    SplitMix64 rng(seed);
    std::vector<float> confidences(1 + seed % 40);
    for (float& c : confidences) c = 1 - static_cast<float>(rng.next() % 64) / 256;
    const std::vector<int32_t> got = chosen("factor", confidences);
    std::vector<float> taken;
    std::vector<float> left = confidences;
    for (auto i = got.rbegin(); i != got.rend(); ++i) {
      taken.push_back(confidences[*i]);
      left.erase(left.begin() + *i);
    }
    std::ranges::sort(taken, std::greater<>());
    std::ranges::sort(left, std::greater<>());
    ASSERT_FALSE(taken.empty());
    for (size_t n = 1; n <= taken.size() && taken.size() > 1; ++n)
      EXPECT_LT((n + 1) * (1 - taken[n - 1]), 1) << "seed " << seed;
    if (left.empty()) continue;
    EXPECT_GE(taken.back(), left.front()) << "seed " << seed;
    EXPECT_GE((taken.size() + 2) * (1 - left.front()), 1) << "seed " << seed;
  }
}

TEST(FactorCommit, RefusesAnFOutOfRange) {
  for (const char* spec : {"factor:f=0", "factor:f=-1", "factor:f=nan", "factor:f=inf"}) {
    EXPECT_THROW(make_commit_policy(spec), Error) << spec;
  }
}

}  // namespace
}  // namespace reprise
