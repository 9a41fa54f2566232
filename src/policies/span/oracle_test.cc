#include "policies/span/oracle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "core/error.h"
#include "support/span_cuts.h"

namespace reprise {
namespace {

using ::testing::ElementsAre;

TEST(OracleSpan, CutsTextBehindItsDelimiters) {
  const TokenSet delimiters(8, {1, 3});
  const auto cut = [&](const std::vector<int32_t>& tokens) {
    return lengths_at_delimiters(tokens, delimiters);
  };
  EXPECT_THAT(cut({2, 2, 1, 2, 3, 2}), ElementsAre(3, 2, 1));
  EXPECT_THAT(cut({1, 1, 2, 2, 3}), ElementsAre(1, 1, 3));
  EXPECT_THAT(cut({2, 2}), ElementsAre(2));
  EXPECT_THAT(cut({1}), ElementsAre(1));
  EXPECT_THAT(cut({}), ElementsAre());
  for (uint64_t seed = 0; seed < 50; ++seed) {
    std::vector<int32_t> tokens;
    for (const Proposal& row : test::random_text(seed, 100, 1 + seed % 12))
      tokens.push_back(row.token);
    const auto lengths = cut(tokens);
    EXPECT_EQ(std::accumulate(lengths.begin(), lengths.end(), 0), 100) << "seed " << seed;
    int32_t end = 0;
    for (size_t i = 0; i + 1 < lengths.size(); ++i) {
      end += lengths[i];
      EXPECT_TRUE(delimiters.has(tokens[end - 1])) << "seed " << seed;
    }
  }
}

TEST(OracleSpan, EndsSpansAtTheDelimitersAndCutsTheRest) {
  const auto policy = make_span_policy("oracle:b0=8");
  const auto plans = test::cut(*policy, {.budget = 60, .earlier_lengths = {3, 30, 1, 26}}, {});
  EXPECT_THAT(test::lengths(plans), ElementsAre(3, 30, 1, 8, 8, 8, 2));
  for (size_t i = 0; i < plans.size(); ++i) {
    EXPECT_EQ(plans[i].reason, i < 3 ? SpanReason::kDelimiter : SpanReason::kNoDelimiter) << i;
    EXPECT_EQ(plans[i].i_delimiter, i < 3 ? plans[i].n - 1 : -1) << i;
  }
  // A text without delimiters.
  EXPECT_THAT(test::lengths(test::cut(*policy, {.budget = 20, .earlier_lengths = {20}}, {})),
              ElementsAre(8, 8, 4));
}

TEST(OracleSpan, AsksForTheSlowRun) {
  const SpanNeeds needs = make_span_policy("oracle:delimiters=newline-exact")->needs();
  EXPECT_EQ(needs.earlier_run, SpanNeeds::EarlierRun::kTop1);
  EXPECT_TRUE(needs.needs_delimiters);
  EXPECT_EQ(needs.delimiters, "newline-exact");
  EXPECT_EQ(make_span_policy("oracle")->fixed_length(512), 0);
}

TEST(OracleSpan, RefusesBadOptionsAndSpansThatAreNotOfTheRequest) {
  for (const char* spec : {"oracle:b0=0", "oracle:tau_d=0.3", "oracle:delimiters=\x1B"}) {
    EXPECT_THROW(make_span_policy(spec), Error) << spec;
  }
  const auto policy = make_span_policy("oracle");
  EXPECT_THROW(policy->begin({.budget = 5}), Error);
  EXPECT_THROW(policy->begin({.budget = 5, .earlier_lengths = {3, 3}}), Error);
  // What the earlier run left unfilled is cut by b0.
  EXPECT_NO_THROW(policy->begin({.budget = 5, .earlier_lengths = {2, 2}}));
}

}  // namespace
}  // namespace reprise
