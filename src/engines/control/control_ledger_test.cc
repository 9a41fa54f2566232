#include "engines/control/control_ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace reprise {
namespace {

ControlCounts counts() {
  ControlCounts out;
  out.n_chunks = 2;
  out.n_branches_computed = 60;
  out.n_branches_reused = 180;
  out.flops = 4e9;
  out.steps[0] = {2, 0.04};  // 20 ms each
  out.steps[1] = {3, 0.03};
  out.steps[2] = {5, 0.01};
  return out;
}

TEST(ControlLedger, EstimatesWhatReuseSaves) {
  const Ledger ledger = control_ledger(counts(), {}, "ddpm uniform:every=4");
  const LedgerUnit& branch = ledger.units.front();
  EXPECT_EQ(branch.computed, 60);
  EXPECT_EQ(branch.reused, 180);
  EXPECT_DOUBLE_EQ(branch.spent.value, 0.08);
  EXPECT_FALSE(branch.spent.is_estimate);
  // Three quarters of ten steps of 20 ms.
  EXPECT_DOUBLE_EQ(branch.saved.value, 0.15);
  EXPECT_TRUE(branch.saved.is_estimate);
  EXPECT_THAT(ledger_line(ledger), testing::HasSubstr("2 chunks of 5 denoising steps"));
  EXPECT_THAT(ledger_line(ledger), testing::HasSubstr("policy ddpm uniform:every=4"));
  EXPECT_THAT(ledger_line(ledger), testing::Not(testing::HasSubstr("far outside")));
}

TEST(ControlLedger, ClaimsNoSavingWithoutReuse) {
  ControlCounts full = counts();
  full.n_branches_reused = 0;
  full.n_obs_outside = 3;
  const Ledger ledger = control_ledger(full, {}, "ddpm full");
  EXPECT_EQ(ledger.units.front().saved.unit, LedgerAmount::Unit::kNone);
  EXPECT_THAT(ledger_line(ledger), testing::HasSubstr("3 numbers of observations"));
  EXPECT_THAT(ledger_table(control_ledger({}, {}, "")), testing::HasSubstr("branch"));
}

}  // namespace
}  // namespace reprise
