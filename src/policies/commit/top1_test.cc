#include "policies/commit/top1.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "support/commit_choice.h"

namespace reprise {
namespace {

using test::chosen;
using ::testing::ElementsAre;

TEST(Top1Commit, TakesTheSurestAlone) {
  EXPECT_THAT(chosen("top1", {0.5F, 0.9F, 0.7F}), ElementsAre(1));
  EXPECT_THAT(chosen("top1", {0.5F, 1.0F, 1.0F}), ElementsAre(1));
  EXPECT_THAT(chosen("top1", {0.0F}), ElementsAre(0));
  EXPECT_NO_THROW(make_commit_policy("top1")->check(100, 0));
}

TEST(Top1Commit, TakesNoOption) { EXPECT_THROW(make_commit_policy("top1:tau=1"), Error); }

}  // namespace
}  // namespace reprise
