#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/split_mix.h"
#include "engines/control/calibrate.h"
#include "engines/control/chosen_branch.h"
#include "engines/control/diffusion_policy.h"
#include "policies/registry.h"

// The form without a decoder: it denoises observations beside the actions.
namespace reprise {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr const char* kRespaced = "respaced:steps=10";

// A chunk of PyTorch and diffusers, made by tools/golden_policy_loop.py.
const json& golden() {
  static const json read =
      json::parse(std::ifstream(REPRISE_SOURCE_DIR "/tests/golden/control/policy_loop.json"))
          .at("encoder");
  return read;
}

// Two layers, six actions of three values, three observations of five.
std::shared_ptr<const PolicyTransformerModel> model() {
  static const auto loaded = PolicyTransformerModel::load(
      REPRISE_SOURCE_DIR "/tests/golden/control/policy-tiny-encoder.safetensors");
  return loaded;
}

constexpr int64_t kChannels = 3 + 5;
constexpr int64_t kValues = 6 * kChannels;
constexpr BranchShape kShape{.n_layers = 2, .n_steps = 10, .n_of_a_layer = 2};

BranchSchedule golden_schedule() {
  BranchSchedule schedule(kShape, false);
  for (int32_t b = 0; b < kShape.n_branches(); ++b) {
    schedule.set_steps(b, golden().at("steps")[b].get<std::vector<int32_t>>());
  }
  return schedule;
}

std::vector<float> observations(uint64_t seed) {
  SplitMix64 random(seed);
  std::vector<float> obs(3 * 5);
  for (size_t i = 0; i < obs.size(); ++i) {
    const float low = model()->obs.min[i % 5];
    obs[i] = low + static_cast<float>(random.uniform()) * (model()->obs.max[i % 5] - low);
  }
  return obs;
}

class EncoderPolicyTest : public testing::Test {
 protected:
  DiffusionPolicy make(const BranchSchedule& schedule, ReuseOrder order = ReuseOrder::kRunSums) {
    return {model(), backend_, SamplerSpec::parse(kRespaced, model()->noise), schedule, order};
  }
  std::vector<float> obs_ = golden().at("obs");
  std::vector<float> noise_ = golden().at("noise");
  Backend backend_{1};
};

TEST_F(EncoderPolicyTest, SamplesLikePyTorch) {
  const std::vector<float> want = golden().at("raw_actions");
  const BranchSchedule schedule = golden_schedule();
  EXPECT_EQ(schedule.n_computed_at(5), 0);
  for (const ReuseOrder order : {ReuseOrder::kSequential, ReuseOrder::kRunSums}) {
    const auto got = make(schedule, order).act({.obs = obs_, .noise = noise_}).actions;
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < want.size(); ++i) {
      EXPECT_NEAR((got[i] - want[i]) * model()->action.scale[i % 3], 0, 1e-5) << "value " << i;
    }
  }
}

// The chunk of a loop over the net's parts, without plan and cache.
std::vector<float> plain_actions(const std::vector<float>& obs, const std::vector<float>& noise) {
  const ActionSampler steps(SamplerSpec::parse(kRespaced, model()->noise), model()->noise);
  PolicyMemory memory;
  remember_observations(*model(), obs, memory);
  PolicyWorkspace workspace(*model(), 1);
  std::vector<float> x(noise.begin(), noise.begin() + kValues);
  for (int32_t k = 0; k < steps.n_steps(); ++k) {
    for (size_t i = 0; i < obs.size(); ++i) {
      x[i / 5 * kChannels + 3 + i % 5] =
          obs[i] * model()->obs.scale[i % 5] + model()->obs.offset[i % 5];
    }
    const std::vector<float> y =
        predict_all(*model(), x, steps.timesteps()[k], memory, {0, 1}, workspace);
    steps.step(k, y, x,
               steps.needs_noise(k) ? std::span(noise).subspan((k + 1) * kValues, kValues)
                                    : std::span<const float>());
  }
  std::vector<float> actions;
  for (int64_t i = 0; i < 6 * 3; ++i) {
    actions.push_back((x[i / 3 * kChannels + i % 3] - model()->action.offset[i % 3]) /
                      model()->action.scale[i % 3]);
  }
  return actions;
}

TEST_F(EncoderPolicyTest, EqualsThePlainLoopToTheBitWhenAllIsComputed) {
  // Powers of two normalise to the same bits whether or not a multiply-add is fused.
  std::vector<float> obs(15);
  for (int i = 0; i < 15; ++i) obs[i] = std::ldexp(i % 2 == 0 ? 1.0F : -1.0F, -(i % 4));
  const auto want = plain_actions(obs, noise_);
  for (const ReuseOrder order : {ReuseOrder::kSequential, ReuseOrder::kRunSums}) {
    EXPECT_EQ(make({kShape, true}, order).act({.obs = obs, .noise = noise_}).actions, want);
  }
}

TEST_F(EncoderPolicyTest, GivesARobotTheSameInAnyBatchOnAnyThreads) {
  constexpr int32_t kRobots = 10;  // more than one group of one thread
  const BranchSchedule schedule = golden_schedule();
  DiffusionPolicy alone = make(schedule);
  std::vector<std::vector<float>> obs;
  std::vector<std::vector<float>> want;
  std::vector<ChunkRequest> requests;
  obs.reserve(kRobots);
  for (uint64_t i = 0; i < kRobots; ++i) {
    obs.push_back(observations(i));
    requests.push_back({.obs = obs.back(), .seed = i});
    want.push_back(alone.act(requests.back()).actions);
  }
  EXPECT_NE(want[0], want[1]);
  for (const int32_t n_threads : {1, 2, 3}) {
    const Backend threads(n_threads);
    DiffusionPolicy batched(model(), threads, SamplerSpec::parse(kRespaced, model()->noise),
                            schedule);
    const auto chunks = batched.act(requests);
    for (int32_t i = 0; i < kRobots; ++i) EXPECT_EQ(chunks[i].actions, want[i]) << "robot " << i;
  }
}

TEST_F(EncoderPolicyTest, ActsOnWhatItObserves) {
  DiffusionPolicy policy = make({kShape, true});
  const auto one = policy.act({.obs = observations(1), .seed = 1}).actions;
  EXPECT_EQ(policy.act({.obs = observations(1), .seed = 1}).actions, one);
  EXPECT_NE(policy.act({.obs = observations(2), .seed = 1}).actions, one);
}

TEST_F(EncoderPolicyTest, ComesBackWithFrozenActionsAndBendsTheRest) {
  DiffusionPolicy policy = make({kShape, true});
  const auto free = policy.act({.obs = obs_, .seed = 3}).actions;
  std::vector<float> frozen;
  for (size_t i = 0; i < 6; ++i) {
    const float low = model()->action.min[i % 3];
    const float high = model()->action.max[i % 3];
    frozen.push_back(free[6 + i] < (low + high) / 2 ? high : low);
  }
  const auto bent = policy.act({.obs = obs_, .seed = 3, .frozen = frozen}).actions;
  EXPECT_TRUE(std::equal(frozen.begin(), frozen.end(), bent.begin() + 6));
  EXPECT_FALSE(std::equal(bent.begin() + 12, bent.end(), free.begin() + 12));
}

TEST_F(EncoderPolicyTest, CountsItsBranches) {
  const BranchSchedule schedule = golden_schedule();
  DiffusionPolicy policy = make(schedule);
  policy.act({.obs = obs_});
  EXPECT_EQ(policy.counts().n_branches_computed, schedule.n_computed());
  EXPECT_EQ(policy.counts().n_branches_reused, 40 - schedule.n_computed());
  DiffusionPolicy full = make({kShape, true});
  full.act({.obs = obs_});
  // Embedding and head; projections and 7 keys of 7 rows; feed-forward.
  const double step = 2.0 * 6 * 2 * 32 * kChannels +
                      2 * (2.0 * 7 * (4 * 32 * 32 + 2 * 7 * 32) + 2.0 * 7 * 8 * 32 * 32);
  EXPECT_DOUBLE_EQ(full.counts().flops, 10 * step);
  EXPECT_DOUBLE_EQ(policy.counts().flops + policy.counts().saved_flops, 10 * step);
}

TEST_F(EncoderPolicyTest, IsScheduledByEveryBranchPolicy) {
  const SamplerSpec sampler = SamplerSpec::parse(kRespaced, model()->noise);
  const std::vector<std::vector<float>> obs = {observations(1), observations(2)};
  const std::vector<uint64_t> seeds = {1, 2};
  const MeasuredCalibration measured =
      calibrate_branches(model(), backend_, sampler, obs, seeds, kBranchMetrics);
  EXPECT_EQ(measured.record.calibration.shape, kShape);
  EXPECT_EQ(measured.record.calibration.volatility.size(), 4U);
  EXPECT_EQ(measured.n_zeroed, 0);
  const std::string file = testing::TempDir() + "encoder_policy_test.branch.gguf";
  write_calibration(file, measured.record);
  const std::string options = ":updates=3,file=" + file;
  for (const std::string& text :
       {std::string("full"), std::string("uniform:every=4"), "bac" + options + ",bubbling=2",
        "block_acs" + options, "unified" + options, "joint" + options,
        "lowest_consecutive" + options}) {
    const BranchSchedule schedule = choose_branch(text, *model(), sampler).schedule;
    EXPECT_EQ(schedule.shape(), kShape) << text;
    DiffusionPolicy policy = make(schedule);
    policy.act({.obs = obs[0]});
    EXPECT_EQ(policy.counts().n_branches_computed, schedule.n_computed()) << text;
  }
  std::remove(file.c_str());
}

TEST_F(EncoderPolicyTest, RefusesSizesOfADecoder) {
  const auto refusal = [](const auto& run) -> std::string {
    try {
      run();
    } catch (const Error& error) {
      return error.what();
    }
    return "taken";
  };
  EXPECT_THAT(refusal([&] {
                make({kShape, true})
                    .act({.obs = obs_, .noise = std::span<const float>(noise_).first(11 * 6 * 3)});
              }),
              HasSubstr("198 values of noise, 10 steps need 528 ([11][6][8])"));
  EXPECT_THAT(refusal([&] {
                make({{.n_layers = 2, .n_steps = 10}, true});
              }),
              HasSubstr("2 layers of 3 branches and 10 steps; the model has 2 layers of 2"));
}

}  // namespace
}  // namespace reprise
