#include "engines/control/diffusion_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "core/error.h"
#include "engines/control/action_noise.h"

namespace reprise {
namespace {

using nlohmann::json;
using testing::HasSubstr;

// Whole chunks of PyTorch and diffusers, made by tools/golden_policy_loop.py.
const json& golden() {
  static const json read =
      json::parse(std::ifstream(REPRISE_SOURCE_DIR "/tests/golden/control/policy_loop.json"));
  return read;
}

// Two layers, six actions of three values, three observations of five.
std::shared_ptr<const PolicyTransformerModel> tiny_model() {
  static const auto model = PolicyTransformerModel::load(
      REPRISE_SOURCE_DIR "/tests/golden/control/policy-tiny.safetensors");
  return model;
}

SamplerSpec sampler(std::string_view text) { return SamplerSpec::parse(text, tiny_model()->noise); }

BranchSchedule all(int32_t n_steps) { return {{.n_layers = 2, .n_steps = n_steps}, true}; }

// Each branch at each step but the first with this chance.
BranchSchedule random_schedule(int32_t n_steps, double chance, uint32_t seed) {
  BranchSchedule schedule = all(n_steps);
  std::mt19937 random(seed);
  for (int32_t k = 1; k < n_steps; ++k) {
    for (int32_t b = 0; b < 6; ++b) {
      schedule.set(b, k, static_cast<double>(random()) < chance * 0x1p32);
    }
  }
  return schedule;
}

// Inside the training set's range.
std::vector<float> observations(uint32_t seed) {
  const AffineChannels& channels = tiny_model()->obs;
  std::mt19937 random(seed);
  std::vector<float> obs(3 * 5);
  for (size_t i = 0; i < obs.size(); ++i) {
    const auto share = static_cast<float>(random() % 1000) / 1000;
    obs[i] = channels.min[i % 5] + share * (channels.max[i % 5] - channels.min[i % 5]);
  }
  return obs;
}

std::string refusal(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

class DiffusionPolicyTest : public testing::Test {
 protected:
  DiffusionPolicy make(const BranchSchedule& schedule, std::string_view text = "ddpm",
                       ReuseOrder order = ReuseOrder::kRunSums) {
    return {tiny_model(), backend_, sampler(text), schedule, order};
  }

  Backend backend_{1};
};

TEST_F(DiffusionPolicyTest, SamplesLikePyTorchUnderEverySchedule) {
  const auto obs = golden().at("obs").get<std::vector<float>>();
  const auto noise = golden().at("noise").get<std::vector<float>>();
  for (const json& item : golden().at("cases")) {
    const auto text = item.at("sampler").get<std::string>();
    const ActionSampler steps(sampler(text), tiny_model()->noise);
    BranchSchedule schedule = all(steps.n_steps());
    for (int32_t b = 0; b < 6; ++b) {
      schedule.set_steps(b, item.at("steps")[b].get<std::vector<int32_t>>());
    }
    const auto want = item.at("raw_actions").get<std::vector<float>>();
    for (const ReuseOrder order : {ReuseOrder::kSequential, ReuseOrder::kRunSums}) {
      DiffusionPolicy policy = make(schedule, text, order);
      const ActionChunk chunk =
          policy.act({.obs = obs, .noise = std::span(noise).first((steps.n_steps() + 1) * 6 * 3)});
      for (size_t i = 0; i < want.size(); ++i) {
        EXPECT_NEAR((chunk.actions[i] - want[i]) * tiny_model()->action.scale[i % 3], 0, 1e-5)
            << text << ", " << item.at("schedule") << ", value " << i;
      }
    }
  }
}

// The chunk of a loop over the net's parts, without plan and cache; DDPM.
std::vector<float> plain_actions(const std::vector<float>& obs, const std::vector<float>& noise,
                                 const std::vector<float>& frozen, uint64_t seed) {
  const PolicyTransformerModel& model = *tiny_model();
  std::vector<float> normalised;
  for (size_t i = 0; i < obs.size(); ++i) {
    normalised.push_back(obs[i] * model.obs.scale[i % 5] + model.obs.offset[i % 5]);
  }
  PolicyMemory memory;
  remember_observations(model, normalised, memory);
  const NoiseSchedule levels = make_noise_schedule(model.noise);
  const ActionSampler steps(sampler("ddpm"), model.noise);
  NormalStream frozen_noise(seed_of(seed, 1));
  PolicyWorkspace workspace(model, 1);
  std::vector<float> x(noise.begin(), noise.begin() + 18);
  for (int32_t k = 0; k < 100; ++k) {
    const float acp = levels.acp[99 - k];
    for (size_t i = 0; i < frozen.size(); ++i) {
      const float action = frozen[i] * model.action.scale[i % 3] + model.action.offset[i % 3];
      // Row 2 of 3 observations is now.
      x[2 * 3 + i] = std::sqrt(acp) * action + std::sqrt(1 - acp) * frozen_noise.next();
    }
    const std::vector<float> y = predict_all(model, x, 99 - k, memory, {0, 1}, workspace);
    steps.step(k, y, x, std::span(noise).subspan((k + 1) * 18, 18));
  }
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = (x[i] - model.action.offset[i % 3]) / model.action.scale[i % 3];
  }
  std::ranges::copy(frozen, x.begin() + 2 * 3);
  return x;
}

TEST_F(DiffusionPolicyTest, EqualsThePlainLoopToTheBitWhenAllIsComputed) {
  const auto obs = observations(1);
  const auto noise = golden().at("noise").get<std::vector<float>>();
  const auto want = plain_actions(obs, noise, {}, 0);
  for (const ReuseOrder order : {ReuseOrder::kSequential, ReuseOrder::kRunSums}) {
    EXPECT_EQ(make(all(100), "ddpm", order).act({.obs = obs, .noise = noise}).actions, want);
  }
}

TEST_F(DiffusionPolicyTest, InpaintsLikeThePlainLoop) {
  const auto obs = observations(1);
  const auto noise = golden().at("noise").get<std::vector<float>>();
  const std::vector<float> frozen = {0.1F, -0.5F, 0.3F, 1, 0, -1};
  const auto want = plain_actions(obs, noise, frozen, 8);
  const auto got =
      make(all(100)).act({.obs = obs, .seed = 8, .noise = noise, .frozen = frozen}).actions;
  // A multiply-add that only one of the two fuses rounds x otherwise, by 2^-24 of a number below
  // 4; where x0 is not clipped, the noisiest timestep multiplies that by 2,029.
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], 4 * 2029 * 0x1p-24);
}

TEST_F(DiffusionPolicyTest, BothOrdersAgreeWithinRounding) {
  const auto obs = observations(2);
  for (uint32_t seed = 0; seed < 5; ++seed) {
    const BranchSchedule schedule = random_schedule(4, 0.3, seed);
    const auto sums = make(schedule, "ddim:steps=4").act({.obs = obs, .seed = seed});
    const auto sequence =
        make(schedule, "ddim:steps=4", ReuseOrder::kSequential).act({.obs = obs, .seed = seed});
    double error = 0;
    double norm = 0;
    for (size_t i = 0; i < sums.actions.size(); ++i) {
      error += std::pow(sums.actions[i] - sequence.actions[i], 2);
      norm += std::pow(sequence.actions[i], 2);
    }
    // A sum of six outputs differs by some roundings of 2^-24 each in each of three steps.
    EXPECT_LT(std::sqrt(error / norm), 1e-6 * 3) << seed;
  }
}

TEST_F(DiffusionPolicyTest, KeepsNothingFromCallToCall) {
  const BranchSchedule schedule = random_schedule(100, 0.1, 3);
  DiffusionPolicy policy = make(schedule);
  const auto first = observations(3);
  const auto second = observations(4);
  const auto a = policy.act({.obs = first, .seed = 5}).actions;
  const auto b = policy.act({.obs = second, .seed = 6}).actions;
  EXPECT_EQ(make(schedule).act({.obs = first, .seed = 5}).actions, a);
  EXPECT_EQ(make(schedule).act({.obs = second, .seed = 6}).actions, b);
  EXPECT_EQ(policy.act({.obs = first, .seed = 5}).actions, a);
}

TEST_F(DiffusionPolicyTest, GivesARobotTheSameInAnyBatchOnAnyThreads) {
  const BranchSchedule schedule = random_schedule(100, 0.1, 4);
  constexpr int32_t kRobots = 21;  // more than one group of one thread
  std::vector<std::vector<float>> obs;
  std::vector<std::vector<float>> alone;
  std::vector<ChunkRequest> requests;
  DiffusionPolicy policy = make(schedule);
  obs.reserve(kRobots);
  for (int32_t i = 0; i < kRobots; ++i) obs.push_back(observations(i));
  for (int32_t i = 0; i < kRobots; ++i) {
    requests.push_back({.obs = obs[i], .seed = static_cast<uint64_t>(i)});
    alone.push_back(policy.act(requests.back()).actions);
  }
  for (const int32_t n_threads : {1, 2, 3, 4}) {
    const Backend threads(n_threads);
    DiffusionPolicy batched(tiny_model(), threads, sampler("ddpm"), schedule);
    for (const int32_t n : {1, 2, 3, kRobots}) {
      const auto chunks = batched.act(std::span(requests).first(n));
      for (int32_t i = 0; i < n; ++i) {
        EXPECT_EQ(chunks[i].actions, alone[i]) << n_threads << " threads, robot " << i;
      }
    }
  }
}

TEST_F(DiffusionPolicyTest, DrawsFromTheSeedAlone) {
  const auto obs = observations(5);
  DiffusionPolicy policy = make(all(10), "respaced:steps=10");
  const auto chunk = policy.act({.obs = obs, .seed = 1}).actions;
  EXPECT_EQ(policy.act({.obs = obs, .seed = 1}).actions, chunk);
  EXPECT_NE(policy.act({.obs = obs, .seed = 2}).actions, chunk);
}

TEST_F(DiffusionPolicyTest, CountsBranchesAndSteps) {
  const BranchSchedule schedule = random_schedule(100, 0.1, 5);
  DiffusionPolicy policy = make(schedule);
  const auto obs = observations(6);
  const std::vector<ChunkRequest> requests(3, {.obs = obs});
  policy.act(requests);
  policy.act(requests[0]);
  const ControlCounts& counts = policy.counts();
  EXPECT_EQ(counts.n_calls, 2);
  EXPECT_EQ(counts.n_chunks, 4);
  EXPECT_EQ(counts.n_branches_computed, 4 * schedule.n_computed());
  EXPECT_EQ(counts.n_branches_reused, 4 * (600 - schedule.n_computed()));
  EXPECT_EQ(counts.n_steps(), 400);
  int64_t n_none = 0;
  for (int32_t k = 0; k < 100; ++k) n_none += schedule.n_computed_at(k) == 0 ? 1 : 0;
  EXPECT_GT(n_none, 0);
  EXPECT_EQ(counts.steps[static_cast<size_t>(StepClass::kNone)].n, 4 * n_none);
  EXPECT_GE(counts.steps[static_cast<size_t>(StepClass::kAll)].n, 4);
  DiffusionPolicy full = make(all(100));
  full.act(requests[0]);
  EXPECT_NEAR(4 * full.counts().flops, counts.flops + counts.saved_flops, 1e-9 * counts.flops);
  EXPECT_DOUBLE_EQ(counts.evaluations_per_chunk(6), static_cast<double>(schedule.n_computed()) / 6);
}

TEST_F(DiffusionPolicyTest, TellsEveryComputedOutput) {
  const BranchSchedule schedule = random_schedule(16, 0.3, 6);
  DiffusionPolicy policy = make(schedule, "ddim:steps=16");
  std::vector<std::pair<int32_t, int32_t>> told;
  policy.set_observer([&](int32_t b, int32_t k, std::span<const float> output) {
    EXPECT_EQ(output.size(), 6U * 32);
    told.emplace_back(k, b);
  });
  policy.act({.obs = observations(7)});
  std::vector<std::pair<int32_t, int32_t>> want;
  for (int32_t k = 0; k < 16; ++k) {
    for (int32_t b = 0; b < 6; ++b) {
      if (schedule.computes(b, k)) want.emplace_back(k, b);
    }
  }
  EXPECT_EQ(told, want);
}

TEST_F(DiffusionPolicyTest, ExecutesFromNowOn) {
  DiffusionPolicy policy = make(all(2), "ddim:steps=2");
  const ActionChunk chunk = policy.act({.obs = observations(8)});
  const auto executed = policy.executed(chunk);
  ASSERT_EQ(executed.size(), 2U * 3);
  EXPECT_EQ(executed.data(), chunk.actions.data() + 2 * 3);  // three observations: row 2 is now
}

TEST_F(DiffusionPolicyTest, ComesBackWithFrozenActionsAndBendsTheRest) {
  const auto obs = observations(9);
  DiffusionPolicy policy = make(all(100));
  const ActionChunk free = policy.act({.obs = obs, .seed = 3});
  // Far from what the policy would do, within the training set's range.
  std::vector<float> frozen(2 * 3);
  for (size_t i = 0; i < frozen.size(); ++i) {
    const size_t channel = i % 3;
    const float low = tiny_model()->action.min[channel];
    const float high = tiny_model()->action.max[channel];
    frozen[i] = free.actions[6 + i] < (low + high) / 2 ? high : low;
  }
  const ActionChunk bent = policy.act({.obs = obs, .seed = 3, .frozen = frozen});
  EXPECT_TRUE(std::equal(frozen.begin(), frozen.end(), bent.actions.begin() + 6));
  EXPECT_FALSE(
      std::equal(bent.actions.begin() + 12, bent.actions.end(), free.actions.begin() + 12));
  EXPECT_EQ(policy.act({.obs = obs, .seed = 3, .frozen = frozen}).actions, bent.actions);
}

TEST_F(DiffusionPolicyTest, CountsUnusualObservations) {
  DiffusionPolicy policy = make(all(2), "ddim:steps=2");
  auto obs = observations(10);
  policy.act({.obs = obs});
  EXPECT_EQ(policy.counts().n_obs_outside, 0);
  const AffineChannels& channels = tiny_model()->obs;
  obs[5] = (1.6F - channels.offset[0]) / channels.scale[0];
  obs[6] = (-1.6F - channels.offset[1]) / channels.scale[1];
  obs[7] = (1.4F - channels.offset[2]) / channels.scale[2];
  policy.act({.obs = obs});
  EXPECT_EQ(policy.counts().n_obs_outside, 2);
}

TEST_F(DiffusionPolicyTest, RefusesBadRequests) {
  DiffusionPolicy policy = make(all(2), "ddim:steps=2");
  auto obs = observations(11);
  const std::vector<float> noise(3 * 18);
  const auto refused = [&](const ChunkRequest& request) {
    return refusal([&] { policy.act(std::vector<ChunkRequest>{{.obs = obs}, request}); });
  };
  EXPECT_EQ(refused({.obs = obs, .noise = noise}), "");
  EXPECT_THAT(refused({}), HasSubstr("robot 1: 0 observed values"));
  EXPECT_THAT(refused({.obs = std::span(obs).first(5)}), HasSubstr("3 steps of 5, 15 in all"));
  EXPECT_THAT(refused({.obs = obs, .noise = std::span(noise).first(36)}),
              HasSubstr("36 values of noise, 2 steps need 54"));
  const std::vector<float> frozen(5 * 3);
  EXPECT_THAT(refused({.obs = obs, .frozen = std::span(frozen).first(4)}),
              HasSubstr("whole actions of 3"));
  EXPECT_THAT(refused({.obs = obs, .frozen = frozen}), HasSubstr("at most 4"));
  EXPECT_EQ(refused({.obs = obs, .frozen = std::span(frozen).first(12)}), "");
  auto huge = obs;
  huge[0] = 3e38F;
  EXPECT_THAT(refused({.obs = huge}), HasSubstr("of its actions"));
  for (const float bad : {NAN, std::numeric_limits<float>::infinity()}) {
    auto spoilt = obs;
    spoilt[7] = bad;
    EXPECT_THAT(refused({.obs = spoilt}), HasSubstr("robot 1: value 7 of its observations"));
    auto spoilt_noise = noise;
    spoilt_noise[2] = bad;
    EXPECT_THAT(refused({.obs = obs, .noise = spoilt_noise}), HasSubstr("value 2 of its noise"));
    const std::vector<float> spoilt_frozen = {0, bad, 0};
    EXPECT_THAT(refused({.obs = obs, .frozen = spoilt_frozen}), HasSubstr("value 1 of its frozen"));
  }
}

TEST_F(DiffusionPolicyTest, RefusesAForeignSchedule) {
  EXPECT_THAT(refusal([&] { make(all(99)); }), HasSubstr("2 layers of 3 branches and 99 steps"));
  EXPECT_THAT(refusal([&] {
                make({{.n_layers = 3, .n_steps = 100}, true});
              }),
              HasSubstr("the model has 2 layers"));
}

TEST_F(DiffusionPolicyTest, AnswersNoRequestWithNothing) {
  EXPECT_TRUE(make(all(100)).act(std::span<const ChunkRequest>()).empty());
}

}  // namespace
}  // namespace reprise
