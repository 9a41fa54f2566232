#include "policies/span/whole.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "support/span_cuts.h"

namespace reprise {
namespace {

TEST(WholeSpan, IsTheBudget) {
  const auto policy = make_span_policy("whole");
  for (const int32_t budget : {1, 31, 512}) {
    EXPECT_THAT(test::cut("whole", budget), ::testing::ElementsAre(budget));
    EXPECT_EQ(policy->fixed_length(budget), budget);
  }
  EXPECT_FALSE(policy->needs().needs_delimiters);
  EXPECT_EQ(policy->begin({.budget = 7})->plan({.n_left = 7}).reason, SpanReason::kFixed);
}

TEST(WholeSpan, TakesNoOption) { EXPECT_THROW(make_span_policy("whole:len=4"), Error); }

}  // namespace
}  // namespace reprise
