#include "policies/span/shuffled.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "core/error.h"
#include "support/span_cuts.h"

namespace reprise {
namespace {

std::vector<int32_t> shuffled(std::vector<int32_t> earlier, int32_t budget, uint64_t seed) {
  return test::lengths(
      test::cut(*make_span_policy("shuffled"),
                {.budget = budget, .earlier_lengths = std::move(earlier), .seed = seed}, {}));
}

TEST(ShuffledSpan, PermutesTheSpansOfAdaBlock) {
  const TokenSet delimiters(test::kDelimiterVocab, {test::kDelimiter, 3});
  const auto adablock = make_span_policy("adablock:window=budget");
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const auto budget = static_cast<int32_t>(1 + seed * 3);
    const auto earlier =
        test::lengths(test::cut(*adablock, {.budget = budget, .delimiters = &delimiters},
                                test::random_text(seed, budget, 8)));
    EXPECT_THAT(shuffled(earlier, budget, seed), ::testing::UnorderedElementsAreArray(earlier))
        << "seed " << seed;
  }
}

TEST(ShuffledSpan, DrawsEveryOrderAlike) {
  std::map<std::vector<int32_t>, int> seen;
  for (uint64_t seed = 0; seed < 6000; ++seed) ++seen[shuffled({1, 2, 3}, 6, seed)];
  EXPECT_EQ(seen.size(), 6U);
  for (const auto& [order, n] : seen) {
    // Binomial: 1,000 expected, standard deviation 29; five of them.
    EXPECT_NEAR(n, 1000, 145) << ::testing::PrintToString(order);
  }
  EXPECT_EQ(shuffled({1, 2, 3, 4, 5, 6}, 21, 7), shuffled({1, 2, 3, 4, 5, 6}, 21, 7));
}

TEST(ShuffledSpan, AsksForAdaBlocksRun) {
  const auto policy = make_span_policy("shuffled:delimiters=sentence");
  EXPECT_EQ(policy->needs().earlier_run, SpanNeeds::EarlierRun::kAdaBlock);
  EXPECT_TRUE(policy->needs().needs_delimiters);
  EXPECT_EQ(policy->needs().delimiters, "sentence");
  EXPECT_EQ(policy->fixed_length(512), 0);
  EXPECT_FALSE(make_span_policy("shuffled:tau_d=inf")->needs().needs_delimiters);
  const SpanPlan plan = policy->begin({.budget = 7, .earlier_lengths = {7}})->plan({.n_left = 7});
  EXPECT_EQ(plan.reason, SpanReason::kFixed);
  EXPECT_EQ(plan.i_delimiter, -1);
}

TEST(ShuffledSpan, LeavesWhatTheEarlierRunDidNotFillBehind) {
  std::vector<int32_t> got = shuffled({1, 2, 3, 4}, 50, 3);
  ASSERT_EQ(got.size(), 6U);  // 40 positions behind them: 32 and 8
  EXPECT_EQ(got[4], 32);
  EXPECT_EQ(got[5], 8);
  got.resize(4);
  EXPECT_THAT(got, ::testing::UnorderedElementsAre(1, 2, 3, 4));
}

TEST(ShuffledSpan, TakesEveryOptionOfAdaBlock) {
  std::vector<std::string> names;
  for (const OptionSpec& spec : kShuffledSpan.options) names.emplace_back(spec.name);
  std::vector<std::string> want;
  for (const OptionSpec& spec : kAdaBlockSpan.options) want.emplace_back(spec.name);
  EXPECT_EQ(names, want);
  EXPECT_THROW(make_span_policy("shuffled:b0=0"), Error);
}

TEST(ShuffledSpan, RefusesSpansThatAreNotOfTheRequest) {
  for (const std::vector<int32_t>& earlier :
       std::vector<std::vector<int32_t>>{{}, {4, 4}, {7, 0}, {8, -1}}) {
    try {
      shuffled(earlier, 7, 1);
      ADD_FAILURE() << ::testing::PrintToString(earlier);
    } catch (const Error& error) {
      EXPECT_THAT(error.what(),
                  ::testing::HasSubstr("the budget is 7; run the same request first"));
      EXPECT_THAT(error.what(), ::testing::StartsWith("span/shuffled: the "));
    }
  }
}

}  // namespace
}  // namespace reprise
