#include "policies/branch/uniform.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace reprise {
namespace {

std::string fault(std::string_view spec, BranchShape shape) {
  try {
    make_branch_policy(spec)->schedule(shape, nullptr);
  } catch (const Error& e) {
    return e.what();
  }
  return "accepted";
}

TEST(UniformBranch, DecidesByTable) {  // C computed, R reused
  const std::pair<const char*, std::string> cases[] = {
      {"uniform", "CRRRRCRRRRC"},
      {"uniform:every=1", "CCCC"},
      {"uniform:every=3", "CRRCRRC"},
      {"uniform:every=3", "CRRCR"},
      {"uniform:every=3,force_last=true", "CRRCC"},
      {"uniform:every=5,force_last=true", "CRRRC"},
      {"uniform:every=4", "CRRR"},
      {"uniform:updates=1", "CRRRR"},
      {"uniform:updates=2", "CRRRRCRRRR"},
      {"uniform:updates=4,force_last=true", "CRCRCRCC"},
      {"uniform:updates=4", "CRCRCRCRC"},  // 9 / 4, rounded down
      {"uniform:updates=3", "CCC"},
  };
  for (const auto& [spec, want] : cases) {
    const BranchShape shape{.n_layers = 2, .n_steps = static_cast<int32_t>(want.size())};
    const BranchSchedule schedule = make_branch_policy(spec)->schedule(shape, nullptr);
    for (int32_t b = 0; b < shape.n_branches(); ++b) {
      std::string got;
      for (int32_t k = 0; k < shape.n_steps; ++k) got += schedule.computes(b, k) ? 'C' : 'R';
      EXPECT_EQ(got, want) << spec << " branch " << b;
    }
  }
}

TEST(UniformBranch, ComputesEverythingWhereItMust) {
  const BranchShape shape{.n_layers = 3, .n_steps = 20};
  const BranchSchedule full(shape, true);
  for (const char* spec : {"uniform:every=1", "uniform:updates=20", "uniform:updates=11"}) {
    EXPECT_EQ(make_branch_policy(spec)->schedule(shape, nullptr), full) << spec;
  }
}

TEST(UniformBranch, RefusesWhatDoesNotFit) {
  EXPECT_EQ(fault("uniform:every=11", {2, 10}),
            "branch/uniform: every=11, the sampler takes 10 steps; write every=1..10");
  EXPECT_EQ(fault("uniform:updates=11", {2, 10}),
            "branch/uniform: updates=11, the sampler takes 10 steps; write updates=1..10");
  EXPECT_EQ(fault("uniform:every=2,updates=5", {2, 10}),
            "--branch uniform: every=2 and updates=5 both say how often; leave one out");
  for (const char* spec : {"uniform:every=0", "uniform:every=1001", "uniform:updates=-1",
                           "uniform:force_last=maybe", "uniform:metric=cosine"}) {
    EXPECT_NE(fault(spec, {2, 10}), "accepted") << spec;
  }
}

}  // namespace
}  // namespace reprise
