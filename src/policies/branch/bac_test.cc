#include "policies/branch/bac.h"

#include <gtest/gtest.h>

#include "policies/branch/bubbling.h"
#include "support/random_branches.h"

namespace reprise {
namespace {

TEST(BacBranch, IsBlockAcsWithBubbling) {
  const BranchShape shape{.n_layers = 4, .n_steps = 30};
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const BranchCalibration calibration = test::random_calibration(shape, seed);
    const auto of = [&](const std::string& spec) {
      return make_branch_policy(spec)->schedule(shape, &calibration);
    };
    const BranchSchedule block = of("block_acs:updates=6");
    EXPECT_EQ(of("bac:updates=6,bubbling=0"), block) << "seed " << seed;
    EXPECT_EQ(of("bac:updates=6,bubbling=1"), block) << "seed " << seed;
    int64_t n_before = block.n_computed();
    for (const int32_t n : {2, 5, 12}) {
      BranchSchedule want = block;
      bubble_up(calibration.volatility, n, want);
      const BranchSchedule got = of("bac:updates=6,bubbling=" + std::to_string(n));
      EXPECT_EQ(got, want) << "seed " << seed << " n=" << n;
      EXPECT_GE(got.n_computed(), n_before) << "seed " << seed << " n=" << n;
      n_before = got.n_computed();
    }
    EXPECT_GT(n_before, block.n_computed()) << "seed " << seed;
  }
}

// Whether the forced step is added before or behind bubbling does not matter.
TEST(BacBranch, TakesTheAuthorsDefaults) {
  const BranchShape shape{.n_layers = 8, .n_steps = 100};
  const BranchCalibration calibration = test::random_calibration(shape, 1);
  EXPECT_EQ(make_branch_policy("bac")->schedule(shape, &calibration),
            make_branch_policy("bac:updates=10,bubbling=5,metric=cosine,force_last=true,file=auto")
                ->schedule(shape, &calibration));
}

}  // namespace
}  // namespace reprise
