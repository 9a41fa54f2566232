#include "engines/control/branch_plan.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>

namespace reprise {
namespace {

using Kind = BranchWork::Kind;

// "C0>0 A1-3 S1-3#0 U1-3#0": compute, add, sum, use a sum.
std::string text(std::span<const BranchWork> work) {
  std::string all;
  for (const auto& [kind, begin, end, i_store] : work) {
    if (!all.empty()) all += ' ';
    if (kind == Kind::kCompute) {
      all += i_store < 0 ? fmt::format("C{}", begin) : fmt::format("C{}>{}", begin, i_store);
    } else if (kind == Kind::kAdd) {
      all += fmt::format("A{}-{}", begin, end);
    } else {
      all += fmt::format("{}{}-{}#{}", kind == Kind::kSum ? 'S' : 'U', begin, end, i_store);
    }
  }
  return all;
}

// One line a step: 'C' of a computed branch, '.' of a reused one.
BranchSchedule schedule(const std::vector<std::string>& lines) {
  const auto n_steps = static_cast<int32_t>(lines.size());
  const auto n_layers = static_cast<int32_t>(lines[0].size() / 3);
  BranchSchedule made({n_layers, n_steps}, true);
  for (int32_t k = 1; k < n_steps; ++k) {
    for (int32_t b = 0; b < 3 * n_layers; ++b) made.set(b, k, lines[k][b] == 'C');
  }
  return made;
}

TEST(BranchPlan, KeepsNothingWhenAllIsComputed) {
  const BranchPlan plan(schedule({"CCC", "CCC"}), ReuseOrder::kRunSums);
  EXPECT_EQ(text(plan.step(0)), "C0 C1 C2");
  EXPECT_EQ(text(plan.step(1)), "C0 C1 C2");
  EXPECT_EQ(plan.n_outputs(), 0);
  EXPECT_EQ(plan.n_sums(), 0);
}

TEST(BranchPlan, SumsARunOnceWhileItStays) {
  const BranchPlan plan(schedule({"CCCCCC", "C....C", "C....C", "CC...C", "......", "......"}),
                        ReuseOrder::kRunSums);
  EXPECT_EQ(text(plan.step(0)), "C0 C1>0 C2>1 C3>2 C4>3 C5");
  EXPECT_EQ(text(plan.step(1)), "C0 S1-5#0 C5");
  EXPECT_EQ(text(plan.step(2)), "C0 U1-5#0 C5");
  EXPECT_EQ(text(plan.step(3)), "C0>4 C1>0 A2-5 C5>5");  // the run is another one, used once
  EXPECT_EQ(text(plan.step(4)), "S0-6#0");
  EXPECT_EQ(text(plan.step(5)), "U0-6#0");
  EXPECT_FALSE(plan.is_all_reuse(3));
  EXPECT_TRUE(plan.is_all_reuse(4));
  EXPECT_TRUE(plan.is_all_reuse(5));
  EXPECT_EQ(plan.n_sums(), 1);
}

TEST(BranchPlan, KeepsASumOverStepsThatDoNotUseIt) {
  // Step 2 reuses other runs, yet computes no member of 1-3.
  const BranchPlan plan(schedule({"CCCCCC", "C..CCC", "...CCC", "C..CCC"}), ReuseOrder::kRunSums);
  EXPECT_EQ(text(plan.step(1)), "C0>2 S1-3#0 C3 C4 C5");
  EXPECT_EQ(text(plan.step(2)), "A0-3 C3 C4 C5");
  EXPECT_EQ(text(plan.step(3)), "C0 U1-3#0 C3 C4 C5");
}

TEST(BranchPlan, AddsOneAfterTheOtherInSequentialOrder) {
  const BranchPlan plan(schedule({"CCC", "...", "..."}), ReuseOrder::kSequential);
  EXPECT_EQ(text(plan.step(1)), "A0-3");
  EXPECT_EQ(text(plan.step(2)), "A0-3");
  EXPECT_FALSE(plan.is_all_reuse(2));
  EXPECT_EQ(plan.n_sums(), 0);
}

// Carries out plans on outputs that are the names of branch and step.
TEST(BranchPlan, AddsTheRightOutputsOfRandomSchedules) {
  constexpr int32_t kLayers = 3;
  constexpr int32_t kSteps = 12;
  constexpr int32_t kBranches = 3 * kLayers;
  for (uint32_t seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    BranchSchedule made({kLayers, kSteps}, true);
    for (int32_t k = 1; k < kSteps; ++k) {
      for (int32_t b = 0; b < kBranches; ++b) made.set(b, k, random() % 4 == 0);
    }
    for (const ReuseOrder order : {ReuseOrder::kRunSums, ReuseOrder::kSequential}) {
      const BranchPlan plan(made, order);
      using Outputs = std::multiset<std::pair<int32_t, int32_t>>;  // branch and step
      std::vector<Outputs> outputs(plan.n_outputs());
      std::vector<Outputs> sums(plan.n_sums());
      for (int32_t k = 0; k < kSteps; ++k) {
        Outputs h;
        for (const BranchWork& work : plan.step(k)) {
          Outputs total;
          if (work.kind == Kind::kCompute) {
            total = {{work.begin, k}};
            if (work.i_store >= 0) outputs[work.i_store] = total;
          } else if (work.kind == Kind::kAddSum) {
            total = sums[work.i_store];
          } else {
            for (int32_t b = work.begin; b < work.end; ++b) {
              ASSERT_GE(plan.i_output(b), 0);
              const Outputs& output = outputs[plan.i_output(b)];
              total.insert(output.begin(), output.end());
            }
            if (work.kind == Kind::kSum) sums[work.i_store] = total;
          }
          h.insert(total.begin(), total.end());
        }
        Outputs want;
        for (int32_t b = 0; b < kBranches; ++b) {
          int32_t last = k;
          while (!made.computes(b, last)) --last;
          want.emplace(b, last);
        }
        ASSERT_EQ(h, want) << "seed " << seed << " step " << k;
      }
    }
  }
}

}  // namespace
}  // namespace reprise
