#include "policies/branch/branch_schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/split_mix.h"

namespace reprise {
namespace {

using ::testing::ElementsAre;

template <typename Act>
std::string fault(Act act) {
  try {
    act();
  } catch (const Error& e) {
    return e.what();
  }
  return "accepted";
}

TEST(BranchSchedule, ComputesAllOrOnlyTheFirstStep) {
  const BranchShape shape{.n_layers = 2, .n_steps = 5};
  const BranchSchedule all(shape, true);
  EXPECT_EQ(all.n_computed(), 30);
  EXPECT_EQ(all.n_distinct_masks(), 1);
  const BranchSchedule first(shape, false);
  EXPECT_EQ(first.n_computed(), 6);
  EXPECT_EQ(first.n_distinct_masks(), 2);
  for (int32_t b = 0; b < 6; ++b) EXPECT_THAT(first.steps_of(b), ElementsAre(0));
}

TEST(BranchShape, NamesTheBranchesOfDecodersAndEncoders) {
  const BranchShape decoder{.n_layers = 2, .n_steps = 1};
  const BranchShape encoder{.n_layers = 2, .n_steps = 1, .n_of_a_layer = 2};
  const auto names = [](const BranchShape& shape) {
    std::vector<std::string> all(shape.n_branches());
    for (int32_t b = 0; b < shape.n_branches(); ++b) all[b] = shape.name_of(b);
    return all;
  };
  EXPECT_THAT(names(decoder), ElementsAre("self attention of layer 0", "cross attention of layer 0",
                                          "feed-forward of layer 0", "self attention of layer 1",
                                          "cross attention of layer 1", "feed-forward of layer 1"));
  EXPECT_THAT(names(encoder), ElementsAre("self attention of layer 0", "feed-forward of layer 0",
                                          "self attention of layer 1", "feed-forward of layer 1"));
}

TEST(BranchSchedule, HoldsWhatWasSet) {
  BranchSchedule schedule({.n_layers = 2, .n_steps = 9}, false);
  schedule.set_steps(1, std::vector<int32_t>{0, 3, 8});
  schedule.set(5, 4, true);
  schedule.compute_all_at(7);
  schedule.set(5, 7, false);
  EXPECT_THAT(schedule.steps_of(0), ElementsAre(0, 7));
  EXPECT_THAT(schedule.steps_of(1), ElementsAre(0, 3, 7, 8));
  EXPECT_THAT(schedule.steps_of(5), ElementsAre(0, 4));
  EXPECT_EQ(schedule.n_computed_at(7), 5);
  EXPECT_EQ(schedule.mask(7)[0], 0b011111U);
  // Step 0; 3 and 8; 4; 7; the rest.
  EXPECT_EQ(schedule.n_distinct_masks(), 5);
  EXPECT_EQ(schedule.n_computed(), 6 + 2 + 1 + 5);
}

// Beyond 64 branches a step's mask is several words.
TEST(BranchSchedule, AgreesWithAPlainTable) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    SplitMix64 rng(seed);
    const BranchShape shape{.n_layers = 1 + static_cast<int32_t>(rng.next() % 50),
                            .n_steps = 1 + static_cast<int32_t>(rng.next() % 20)};
    BranchSchedule schedule(shape, false);
    std::vector<std::vector<bool>> table(shape.n_steps, std::vector<bool>(shape.n_branches()));
    table[0].assign(shape.n_branches(), true);
    for (int32_t i = 0; i < 300; ++i) {
      const auto b = static_cast<int32_t>(rng.next() % shape.n_branches());
      const auto k = static_cast<int32_t>(rng.next() % shape.n_steps);
      table[k][b] = k == 0 || rng.next() % 2 == 0;
      schedule.set(b, k, table[k][b]);
    }
    int64_t n = 0;
    for (int32_t k = 0; k < shape.n_steps; ++k) {
      EXPECT_EQ(schedule.n_computed_at(k), std::ranges::count(table[k], true)) << "seed " << seed;
      n += schedule.n_computed_at(k);
      for (int32_t b = 0; b < shape.n_branches(); ++b) {
        EXPECT_EQ(schedule.computes(b, k), table[k][b]) << "seed " << seed;
      }
    }
    EXPECT_EQ(schedule.n_computed(), n);
    const std::set<std::vector<bool>> masks(table.begin(), table.end());
    EXPECT_EQ(schedule.n_distinct_masks(), static_cast<int32_t>(masks.size())) << "seed " << seed;
  }
}

TEST(BranchSchedule, RefusesStepsThatNoCallCanTake) {
  BranchSchedule schedule({.n_layers = 2, .n_steps = 10}, false);
  const BranchSchedule before = schedule;
  const auto set = [&schedule](std::vector<int32_t> steps) {
    return fault([&] { schedule.set_steps(4, steps); });
  };
  EXPECT_EQ(set({}),
            "branch schedule: the steps of cross attention of layer 1 begin with none, "
            "not with 0, where nothing is there to be reused; make the schedule again");
  EXPECT_EQ(set({1, 2}),
            "branch schedule: the steps of cross attention of layer 1 begin with 1, not with 0, "
            "where nothing is there to be reused; make the schedule again");
  EXPECT_EQ(set({0, 5, 3}),
            "branch schedule: step 3 of cross attention of layer 1 follows step 5; "
            "steps rise, make the schedule again");
  EXPECT_EQ(set({0, 5, 5}),
            "branch schedule: step 5 of cross attention of layer 1 follows step 5; "
            "steps rise, make the schedule again");
  EXPECT_EQ(set({0, 10}),
            "branch schedule: cross attention of layer 1 has step 10, the sampler "
            "takes 10 (0..9); make the schedule for this sampler");
  EXPECT_EQ(fault([&] { schedule.set(3, 0, false); }),
            "branch schedule: self attention of layer 1 is not computed at step 0, where nothing "
            "is there to be reused; make the schedule again");
  EXPECT_EQ(schedule, before);
}

TEST(BranchSchedule, RefusesAShapeThatIsNone) {
  for (const BranchShape shape :
       {BranchShape{0, 10}, BranchShape{2, 0}, BranchShape{-1, 10}, BranchShape{1025, 10},
        BranchShape{2, 65537}, BranchShape{2, 10, 1}, BranchShape{2, 10, 4}}) {
    EXPECT_THROW(BranchSchedule(shape, true), Error) << shape.n_layers << " " << shape.n_steps;
  }
}

}  // namespace
}  // namespace reprise
