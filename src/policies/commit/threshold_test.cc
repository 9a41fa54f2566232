#include "policies/commit/threshold.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "support/commit_choice.h"

namespace reprise {
namespace {

using test::chosen;
using ::testing::ElementsAre;

TEST(ThresholdCommit, TakesWhatReachesTauAndTheSurest) {
  const float below = std::nextafter(0.9F, 0.0F);
  EXPECT_THAT(chosen("threshold", {0.95F, 0.9F, below, 0.99F}), ElementsAre(0, 1, 3));
  EXPECT_THAT(chosen("threshold", {0.1F, below, 0.3F}), ElementsAre(1));
  EXPECT_THAT(chosen("threshold", {0.1F, 0.3F, 0.3F}), ElementsAre(1));  // the first among equals
  EXPECT_THAT(chosen("threshold", {0.0F}), ElementsAre(0));
  EXPECT_THAT(chosen("threshold:tau=0.5", {0.5F, 0.4F, 0.6F}), ElementsAre(0, 2));
  EXPECT_THAT(chosen("threshold:tau=1", {1.0F, 0.9999F, 1.0F}), ElementsAre(0, 2));
}

TEST(ThresholdCommit, GoesWithAnySpan) {
  const auto policy = make_commit_policy("threshold");
  EXPECT_NO_THROW(policy->check(100, 0));
  EXPECT_NO_THROW(policy->check(100, 32));
}

TEST(ThresholdCommit, TakesATauNextToZero) {
  EXPECT_THAT(chosen("threshold:tau=1e-30", {1e-20F, 0.9F, 0.0F}), ElementsAre(0, 1));
  EXPECT_THAT(chosen("threshold:tau=1e-50", {1e-20F, 0.9F, 0.0F}), ElementsAre(0, 1));
}

TEST(ThresholdCommit, RefusesATauOutOfRange) {
  for (const char* spec : {"threshold:tau=0", "threshold:tau=-0.5", "threshold:tau=1.01",
                           "threshold:tau=nan", "threshold:tau=inf"}) {
    try {
      make_commit_policy(spec);
      ADD_FAILURE() << "accepted " << spec;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr("'tau' takes a number above 0, up to 1"));
    }
  }
}

}  // namespace
}  // namespace reprise
