#include "engines/control/diffusion_planner.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "engines/control/action_noise.h"
#include "engines/control/control_loop.h"
#include "engines/control/pusht_environment.h"

namespace reprise {
namespace {

// Two layers, six actions of three values, three observations of five.
class DiffusionPlannerTest : public ::testing::Test {
 protected:
  std::shared_ptr<const PolicyTransformerModel> model_ = PolicyTransformerModel::load(
      REPRISE_SOURCE_DIR "/tests/golden/control/policy-tiny.safetensors");
  SamplerSpec sampler_ = SamplerSpec::parse("ddim:steps=4", model_->noise);
  Backend backend_{1};
  DiffusionPolicy policy_{model_, backend_, sampler_,
                          full_schedule(model_->hparams, ActionSampler(sampler_, model_->noise))};
};

// Its state is where the last action sent it.
class TrackingEnvironment final : public Environment {
 public:
  int32_t n_obs() const override { return 5; }
  int32_t n_action() const override { return 3; }
  void observe(std::span<float> obs) const override {
    for (size_t i = 0; i < 5; ++i) obs[i] = place_[i % 3];
  }
  void apply(std::span<const float> action) override {
    place_.assign(action.begin(), action.end());
    applied.push_back(place_);
  }
  bool is_done() const override { return false; }
  double score() const override { return 0; }

  std::vector<std::vector<float>> applied;

 private:
  std::vector<float> place_ = {0, 0, 0};
};

TEST_F(DiffusionPlannerTest, LoopCarriesOutWhatThePolicySays) {
  DiffusionPlanner planner(policy_);
  const PlannerShape& shape = planner.shape();
  EXPECT_EQ(shape.n_obs, 5);
  EXPECT_EQ(shape.n_action, 3);
  EXPECT_EQ(shape.n_horizon, 6);
  EXPECT_EQ(shape.n_obs_steps, 3);
  TrackingEnvironment environment;
  ControlLoop loop(planner, {});
  loop.run(environment, 11, 2 * shape.n_action_steps, {});
  // By hand: two chunks, the second one from the last three observations.
  std::vector<std::vector<float>> want;
  std::vector<std::vector<float>> seen = {{0, 0, 0}, {0, 0, 0}, {0, 0, 0}};
  for (uint64_t i_chunk = 0; i_chunk < 2; ++i_chunk) {
    std::vector<float> obs;
    for (auto place = seen.end() - 3; place != seen.end(); ++place)
      for (size_t i = 0; i < 5; ++i) obs.push_back((*place)[i % 3]);
    const ActionChunk chunk = policy_.act({.obs = obs, .seed = seed_of(11, i_chunk)});
    const std::span<const float> executed = policy_.executed(chunk);
    for (int32_t i = 0; i < shape.n_action_steps; ++i) {
      const auto action = executed.subspan(static_cast<size_t>(3) * i, 3);
      want.emplace_back(action.begin(), action.end());
      seen.push_back(want.back());
    }
  }
  EXPECT_EQ(environment.applied, want);
}

TEST_F(DiffusionPlannerTest, BoundActionsComeBackAsTheyAre) {
  DiffusionPlanner planner(policy_);
  const std::vector<float> obs(15, 0.1F);
  const std::vector<float> frozen = {0.1F, 0.2F, 0.3F};
  const std::vector<float> chunk = planner.plan({obs, frozen, 5});
  const size_t now = 2 * 3;
  EXPECT_EQ(std::vector<float>(chunk.begin() + now, chunk.begin() + now + 3), frozen);
  EXPECT_NE(chunk, planner.plan({obs, {}, 5}));
}

TEST_F(DiffusionPlannerTest, RefusesAnEnvironmentOfOtherSizes) {
  DiffusionPlanner planner(policy_);
  ControlLoop loop(planner, {});
  PushtEnvironment environment(100000);
  EXPECT_THROW(loop.run(environment, 1, 5, {}), Error);
}

}  // namespace
}  // namespace reprise
