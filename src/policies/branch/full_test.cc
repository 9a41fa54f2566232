#include "policies/branch/full.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace reprise {
namespace {

TEST(FullBranch, ComputesEverythingWithoutCalibration) {
  const auto policy = make_branch_policy("full");
  EXPECT_FALSE(policy->needs_calibration());
  EXPECT_EQ(policy->file(), "");
  EXPECT_EQ(policy->warning(), "");
  for (const BranchShape shape : {BranchShape{8, 100}, BranchShape{1, 1}}) {
    EXPECT_EQ(policy->schedule(shape, nullptr), BranchSchedule(shape, true));
  }
}

TEST(FullBranch, RefusesOptions) { EXPECT_THROW(make_branch_policy("full:every=1"), Error); }

}  // namespace
}  // namespace reprise
