#include "policies/span/fixed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "support/span_cuts.h"

namespace reprise {
namespace {

using test::cut;
using ::testing::ElementsAre;

TEST(FixedSpan, CutsEqualLengthsAndClipsTheLast) {
  EXPECT_THAT(cut("fixed", 96), ElementsAre(32, 32, 32));
  EXPECT_THAT(cut("fixed", 97), ElementsAre(32, 32, 32, 1));
  EXPECT_THAT(cut("fixed:len=5", 12), ElementsAre(5, 5, 2));
  EXPECT_THAT(cut("fixed:len=1", 3), ElementsAre(1, 1, 1));
  EXPECT_THAT(cut("fixed:len=65536", 3), ElementsAre(3));
}

TEST(FixedSpan, NeedsNothingAndIsKnownBeforehand) {
  const auto policy = make_span_policy("fixed:len=5");
  EXPECT_EQ(policy->fixed_length(100), 5);
  EXPECT_FALSE(policy->needs().needs_delimiters);
  EXPECT_EQ(policy->needs().earlier_run, SpanNeeds::EarlierRun::kNone);
  const SpanPlan plan = policy->begin({.budget = 7})->plan({.n_left = 7});
  EXPECT_EQ(plan.reason, SpanReason::kFixed);
  EXPECT_EQ(plan.i_delimiter, -1);
  EXPECT_EQ(plan.confidence, 0);
}

TEST(FixedSpan, RefusesALengthOutOfRange) {
  for (const char* spec : {"fixed:len=0", "fixed:len=-1", "fixed:len=65537", "fixed:len=4.5"}) {
    EXPECT_THROW(make_span_policy(spec), Error) << spec;
  }
}

}  // namespace
}  // namespace reprise
