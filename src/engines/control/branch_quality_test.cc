#include <gtest/gtest.h>

#include <numeric>

#include "engines/control/calibrate.h"
#include "engines/control/pusht_eval.h"
#include "policies/registry.h"

namespace reprise {
namespace {

// What schedules of few updates do to the demo policy's actions (BAC, arXiv 2506.13456, table of
// ablations), on 16 observations. The bounds leave room on both sides of what two sets of
// observations, of seeds 1500 and 3500, gave in px: per-branch schedules 60.2 and 52.7; with 3
// bubbling branches 26.4 and 20.4; with 5 of them 24.8 and 19.4; schedules from consecutive
// similarities 228 and 222; other noise 24.2 and 26.1.
TEST(BranchQuality, BubblingHelpsAndAnchoredSimilaritiesDo) {
  const auto model =
      PolicyTransformerModel::load(REPRISE_SOURCE_DIR "/models/pusht/pusht-demo.gguf");
  const Backend backend(1);
  const SamplerSpec ddpm = SamplerSpec::parse("ddpm", model->noise);
  const ActionSampler steps(ddpm, model->noise);
  // Episodes of a quick sampler look much the same.
  const SamplerSpec quick = SamplerSpec::parse("ddim:steps=10", model->noise);
  DiffusionPolicy source(model, backend, quick,
                         full_schedule(model->hparams, ActionSampler(quick, model->noise)));
  const auto calibrated = pusht_observations(source, 500, 16, 8);
  const auto observations = pusht_observations(source, 1500, 16, 8);
  std::vector<uint64_t> seeds(16);
  std::iota(seeds.begin(), seeds.end(), 70);
  const BranchMetric metrics[] = {BranchMetric::kCosine};
  const BranchCalibration calibration =
      calibrate_branches(model, backend, ddpm, calibrated, seeds, metrics).record.calibration;
  DiffusionPolicy full(model, backend, ddpm, full_schedule(model->hparams, steps));
  const auto exact = executed_actions(full, observations, 0);
  const auto rmse = [&](const std::string& branch) {
    const BranchSchedule schedule =
        make_branch_policy(branch)->schedule(full.schedule().shape(), &calibration);
    DiffusionPolicy policy(model, backend, ddpm, schedule);
    return action_rmse(executed_actions(policy, observations, 0), exact);
  };
  const double no_bubbling = rmse("block_acs:updates=5");
  const double three = rmse("bac:updates=5,bubbling=3");
  const double five = rmse("bac:updates=5,bubbling=5");
  EXPECT_LT(three, 0.7 * no_bubbling);
  EXPECT_LT(five, 1.1 * three);
  EXPECT_GT(rmse("lowest_consecutive:updates=5"), 2 * no_bubbling);
  EXPECT_EQ(rmse("bac:updates=100,bubbling=5"), 0);
}

}  // namespace
}  // namespace reprise
