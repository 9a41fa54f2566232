#include "engines/control/error_surge.h"

#include <gtest/gtest.h>

#include <cmath>

#include "engines/control/branch_error.h"
#include "engines/control/chosen_branch.h"

namespace reprise {
namespace {

TEST(ErrorSurge, ComparesTheSharedUpdates) {
  ErrorSurge few;
  few.updates = {{{.k = 2, .error = 1}}, {{.k = 3, .error = 9}}};
  ErrorSurge many;
  many.updates = {{{.k = 1, .error = 8}, {.k = 2, .error = 3}},
                  {{.k = 2, .error = 7}, {.k = 3, .error = 4}}};
  EXPECT_DOUBLE_EQ(many.rms_where(few), std::sqrt((3. * 3 + 4 * 4) / 2));
  EXPECT_DOUBLE_EQ(few.rms_where(few), std::sqrt((1. + 81) / 2));
  ErrorSurge none;
  none.updates = {{}, {}};
  EXPECT_EQ(few.rms_where(none), 0);
}

class DemoSurge : public testing::Test {
 protected:
  std::vector<ErrorSurge> measured(int32_t n_updates, std::vector<int32_t> bubbling) {
    return measure_error_surge(model_, backend_, sampler_, n_updates, bubbling, observations_, 11,
                               [this] { ++n_turns_; });
  }

  std::shared_ptr<const PolicyTransformerModel> model_ =
      PolicyTransformerModel::load(REPRISE_SOURCE_DIR "/models/pusht/pusht-demo.gguf");
  Backend backend_{2};
  SamplerSpec sampler_ = SamplerSpec::parse("ddpm", model_->noise);
  std::vector<std::vector<float>> observations_ = {std::vector<float>(36, 200.F)};
  int32_t n_turns_ = 0;
};

TEST_F(DemoSurge, IsNoneWhereEverythingIsComputed) {
  const std::vector<ErrorSurge> surges = measured(100, {0});
  ASSERT_EQ(surges.size(), 1U);
  EXPECT_EQ(surges[0].evaluations, 100);
  for (const double error : surges[0].feed_forward) EXPECT_EQ(error, 0);
  EXPECT_EQ(surges[0].updates[0].size(), 99U);
}

TEST_F(DemoSurge, HoldsTheErrorsOfItsOwnSchedule) {
  const std::vector<ErrorSurge> surges = measured(5, {0, 3});
  ASSERT_EQ(surges.size(), 2U);
  EXPECT_EQ(n_turns_, 2);
  EXPECT_EQ(surges[0].evaluations, 6);  // step 0 and five updates
  EXPECT_GT(surges[1].evaluations, 6);
  const BranchSchedule schedule = choose_branch(surges[1].branch, *model_, sampler_).schedule;
  const BranchErrors errors =
      branch_errors(model_, backend_, sampler_, schedule, observations_, 11);
  for (int32_t il = 0; il < schedule.shape().n_layers; ++il) {
    const int32_t b = schedule.shape().feed_forward_of(il);
    EXPECT_EQ(surges[1].feed_forward[il], errors.at_updates(b, schedule));
    ASSERT_EQ(surges[1].updates[il].size() + 1, schedule.steps_of(b).size());
    for (const ErrorSurge::Update& update : surges[1].updates[il]) {
      EXPECT_TRUE(schedule.computes(b, update.k));
      EXPECT_EQ(update.error, errors.at(b, update.k));
    }
  }
}

}  // namespace
}  // namespace reprise
