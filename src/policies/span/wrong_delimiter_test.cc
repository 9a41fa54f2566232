#include "policies/span/wrong_delimiter.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/span_cuts.h"

namespace reprise {
namespace {

TEST(WrongDelimiterSpan, IsAdaBlockOverDigits) {
  const auto wrong = make_span_policy("wrong_delimiter:window=budget,b0=9,tau_d=0.4");
  const auto right = make_span_policy("adablock:window=budget,b0=9,tau_d=0.4,delimiters=digit");
  EXPECT_TRUE(wrong->needs().needs_delimiters);
  EXPECT_EQ(wrong->needs().delimiters, "digit");
  const TokenSet digits(test::kDelimiterVocab, {test::kDelimiter});
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const auto text = test::random_text(seed, 200, 6);
    const SpanRequest request{.budget = 200, .delimiters = &digits};
    EXPECT_EQ(test::lengths(test::cut(*wrong, request, text)),
              test::lengths(test::cut(*right, request, text)))
        << "seed " << seed;
  }
}

TEST(WrongDelimiterSpan, TakesTheOptionsOfTheRuleButDelimiters) {
  EXPECT_NO_THROW(make_span_policy("wrong_delimiter:pick=last_above,min=2,window=budget,rho=0.5"));
  EXPECT_THROW(make_span_policy("wrong_delimiter:delimiters=newline"), Error);
}

}  // namespace
}  // namespace reprise
