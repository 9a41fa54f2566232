#include "policies/branch/calibrated_branch.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/error.h"
#include "policies/registry.h"
#include "support/random_branches.h"

namespace reprise {
namespace {

constexpr BranchShape kShape{.n_layers = 2, .n_steps = 8};
constexpr const char* kAll[] = {"bac", "block_acs", "unified", "joint", "lowest_consecutive"};

std::string fault(std::string_view spec, const BranchCalibration* calibration) {
  try {
    make_branch_policy(spec)->schedule(kShape, calibration);
  } catch (const Error& e) {
    return e.what();
  }
  return "accepted";
}

TEST(CalibratedBranch, SaysWhatItNeeds) {
  for (const std::string name : kAll) {
    const auto usual = make_branch_policy(name);
    EXPECT_TRUE(usual->needs_calibration()) << name;
    EXPECT_EQ(usual->metric(), BranchMetric::kCosine) << name;
    EXPECT_EQ(usual->file(), "") << name;
    EXPECT_EQ(usual->warning(), "") << name;
    const auto given = make_branch_policy(name + ":metric=mse,file=/a/b=c.gguf");
    EXPECT_EQ(given->metric(), BranchMetric::kMse) << name;
    EXPECT_EQ(given->file(), "/a/b=c.gguf") << name;
  }
}

// With every step an update, every schedule is the exact sampler.
TEST(CalibratedBranch, ComputesEverythingWhereItMust) {
  const BranchCalibration calibration = test::random_calibration(kShape, 1);
  for (const std::string name : kAll) {
    EXPECT_EQ(make_branch_policy(name + ":updates=8")->schedule(kShape, &calibration),
              BranchSchedule(kShape, true))
        << name;
  }
}

TEST(CalibratedBranch, ComputesTheLastStepBesides) {
  const BranchCalibration calibration = test::random_calibration(kShape, 2);
  for (const std::string name : kAll) {
    for (const int32_t n_updates : {1, 3}) {
      const std::string spec = name + ":updates=" + std::to_string(n_updates) + ",force_last=";
      const auto without = make_branch_policy(spec + "false")->schedule(kShape, &calibration);
      BranchSchedule with = without;
      with.compute_all_at(7);
      EXPECT_EQ(make_branch_policy(spec + "true")->schedule(kShape, &calibration), with) << spec;
      if (name == "bac") continue;  // bubbling adds to it
      for (int32_t b = 0; b < kShape.n_branches(); ++b) {
        EXPECT_EQ(std::ssize(without.steps_of(b)), n_updates) << spec << " branch " << b;
      }
    }
  }
}

// As published: unified alone does not.
TEST(CalibratedBranch, ForcesTheLastStepByDefaultAsTheAuthorsDid) {
  const BranchCalibration calibration = test::random_calibration(kShape, 3);
  for (const std::string name : kAll) {
    const auto by_default = make_branch_policy(name + ":updates=1")->schedule(kShape, &calibration);
    EXPECT_EQ(by_default.computes(1, 7), name != "unified") << name;
  }
}

TEST(CalibratedBranch, RefusesOptionsThatTheCallCannotHave) {
  const BranchCalibration calibration = test::random_calibration(kShape, 4);
  EXPECT_EQ(fault("bac:updates=9", &calibration),
            "branch/bac: updates=9, the sampler takes 8 steps; write updates=1..8");
  EXPECT_EQ(fault("bac:updates=8,bubbling=7", &calibration),
            "branch/bac: bubbling=7, the model has 6 branches; write bubbling=0..6");
  EXPECT_EQ(fault("bac:updates=8,bubbling=6", &calibration), "accepted");
  for (const std::string name : kAll) {
    for (const char* option : {":updates=0", ":updates=1001", ":metric=cosin", ":force_last=1"}) {
      EXPECT_NE(fault(name + option, &calibration), "accepted") << name << option;
    }
  }
  for (const char* spec : {"bac:bubbling=-1", "bac:bubbling=3073", "joint:bubbling=2"}) {
    EXPECT_NE(fault(spec, &calibration), "accepted") << spec;
  }
}

TEST(CalibratedBranch, WarnsOfABubbleThatDoesNothing) {
  EXPECT_EQ(make_branch_policy("bac:bubbling=1")->warning(),
            "branch/bac: bubbling=1 does nothing, as in the authors' code; take 0 or at least 2");
  EXPECT_EQ(make_branch_policy("bac:bubbling=0")->warning(), "");
}

TEST(CalibratedBranch, RefusesAForeignCalibration) {
  EXPECT_EQ(fault("joint:updates=3", nullptr),
            "branch/joint: needs a calibration; make one with: reprise calibrate MODEL");
  const BranchCalibration of_20_steps = test::random_calibration({.n_layers = 2, .n_steps = 20}, 5);
  EXPECT_EQ(fault("joint:updates=3", &of_20_steps),
            "branch/joint: the calibration is of 6 branches x 20 steps, this call has 6 branches x "
            "8 steps; calibrate again: reprise calibrate MODEL");
  const BranchCalibration of_3_layers = test::random_calibration({.n_layers = 3, .n_steps = 8}, 5);
  EXPECT_EQ(fault("joint:updates=3", &of_3_layers),
            "branch/joint: the calibration is of 9 branches x 8 steps, this call has 6 branches x "
            "8 steps; calibrate again: reprise calibrate MODEL");
}

TEST(CalibratedBranch, RefusesADamagedCalibration) {
  const BranchCalibration good = test::random_calibration(kShape, 6);
  BranchCalibration bad = good;
  bad.similarity.erase(BranchMetric::kL1);
  EXPECT_EQ(fault("joint:updates=3,metric=l1", &bad),
            "branch/joint: metric=l1, the calibration holds cosine, mse, l2; take one of these or "
            "calibrate again: reprise calibrate MODEL");
  EXPECT_EQ(fault("joint:updates=3", &bad), "accepted");
  bad = good;
  bad.similarity[BranchMetric::kCosine][2 * 64 + 3 * 8 + 5] = std::nanf("");
  EXPECT_EQ(fault("joint:updates=3", &bad),
            "branch/joint: the calibration's cosine of steps 3 and 5 of feed-forward of layer 0 is "
            "nan; calibrate again: reprise calibrate MODEL");
  bad = good;
  bad.volatility[4] = std::numeric_limits<double>::infinity();
  EXPECT_EQ(fault("joint:updates=3", &bad),
            "branch/joint: the calibration's volatility of cross attention of layer 1 is inf; "
            "calibrate again: reprise calibrate MODEL");
  bad = good;
  bad.volatility.pop_back();
  EXPECT_EQ(fault("joint:updates=3", &bad),
            "branch/joint: the calibration of 6 branches x 8 steps holds 384 similarities and 5 "
            "volatilities, not 384 and 6; calibrate again: reprise calibrate MODEL");
  bad = good;
  bad.similarity[BranchMetric::kCosine].pop_back();
  EXPECT_NE(fault("joint:updates=3", &bad), "accepted");
}

}  // namespace
}  // namespace reprise
