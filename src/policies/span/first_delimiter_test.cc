#include "policies/span/first_delimiter.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/span_cuts.h"

namespace reprise {
namespace {

// Budget 40, hence a window of 10; delimiters at 3 and 7.
SpanPlan plan(std::string_view spec, float at_3, float at_7) {
  const TokenSet delimiters(test::kDelimiterVocab, {test::kDelimiter});
  std::vector<Proposal> rows(10, {.token = 2, .confidence = 0.99F});
  rows[3] = {.token = test::kDelimiter, .confidence = at_3};
  rows[7] = {.token = test::kDelimiter, .confidence = at_7};
  return make_span_policy(spec)
      ->begin({.budget = 40, .delimiters = &delimiters})
      ->plan({.rows = rows, .n_left = 40});
}

TEST(FirstDelimiterSpan, AsksTheFirstAlone) {
  const SpanPlan sure = plan("first_delimiter:window=budget", 0.4F, 0.9F);
  EXPECT_EQ(sure.n, 4);
  EXPECT_EQ(sure.reason, SpanReason::kDelimiter);
  EXPECT_EQ(sure.confidence, 0.4F);
  const SpanPlan unsure = plan("first_delimiter:window=budget", 0.2F, 0.9F);
  EXPECT_EQ(unsure.n, 32);
  EXPECT_EQ(unsure.reason, SpanReason::kLowConfidence);
  EXPECT_EQ(unsure.i_delimiter, -1);
  EXPECT_EQ(unsure.confidence, 0.2F);
  // What its relatives do there.
  EXPECT_EQ(plan("adablock:window=budget", 0.4F, 0.9F).n, 8);
  EXPECT_EQ(plan("adablock:window=budget,pick=first_above", 0.2F, 0.9F).n, 8);
  // Whatever its confidence.
  EXPECT_EQ(plan("first_delimiter:window=budget,tau_d=0", 0.0F, 0.9F).n, 4);
}

TEST(FirstDelimiterSpan, TakesTheOptionsOfTheRuleButPick) {
  EXPECT_EQ(make_span_policy("first_delimiter:delimiters=sentence,b0=4")->needs().delimiters,
            "sentence");
  EXPECT_EQ(make_span_policy("first_delimiter:tau_d=inf,b0=4")->fixed_length(9), 4);
  EXPECT_THROW(make_span_policy("first_delimiter:pick=max"), Error);
}

}  // namespace
}  // namespace reprise
