#include "engines/control/denoiser_sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/error.h"

namespace reprise {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

// Steps of the diffusers library, made by tools/golden_policy_sampler.py.
const json& golden() {
  static const json read =
      json::parse(std::ifstream(REPRISE_SOURCE_DIR "/tests/golden/control/sampler_steps.json"));
  return read;
}

std::vector<int32_t> timesteps(std::string_view text) {
  const ActionSampler sampler(SamplerSpec::parse(text, {}), {});
  return {sampler.timesteps().begin(), sampler.timesteps().end()};
}

std::string refusal(std::string_view text) {
  try {
    SamplerSpec::parse(text, {});
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(NoiseSchedule, EqualsTheLibrarys) {
  const NoiseSchedule schedule = make_noise_schedule({});
  const auto want = golden().at("alphas_cumprod").get<std::vector<float>>();
  ASSERT_EQ(schedule.acp.size(), want.size());
  for (size_t t = 0; t < want.size(); ++t) EXPECT_FLOAT_EQ(schedule.acp[t], want[t]) << t;
}

// Of the same formula in F64.
TEST(NoiseSchedule, HasTheKnownValues) {
  const NoiseSchedule schedule = make_noise_schedule({});
  const std::pair<int32_t, double> known[] = {{0, 0.99936872},    {10, 0.9667167},
                                              {50, 0.47826463},   {90, 0.019544376},
                                              {98, 2.4285723e-4}, {99, 2.4285723e-7}};
  for (const auto& [t, acp] : known) {
    // Each beta is rounded to F32, and so is 1 - beta: 2^-24 together, which against the last
    // alpha, 0.001, is 1,000 times as much.
    const double roundings = t == 99 ? 1100 : t + 1;
    EXPECT_NEAR(schedule.acp[t], acp, (roundings * 0x1p-24 + 5e-8) * acp) << t;
  }
}

TEST(NoiseSchedule, RefusesUnknownSchedulesAndCounts) {
  EXPECT_THROW(make_noise_schedule({.beta_schedule = "linear"}), Error);
  EXPECT_THROW(make_noise_schedule({.n_train_steps = 0}), Error);
}

TEST(ActionSampler, StepsLikeTheLibrary) {
  for (const json& item : golden().at("cases")) {
    const auto text = item.at("sampler").get<std::string>();
    NoiseScheduleSpec noise;
    noise.prediction = item.at("prediction").get<std::string>();
    const ActionSampler sampler(SamplerSpec::parse(text, noise), noise);
    EXPECT_EQ(std::vector<int32_t>(sampler.timesteps().begin(), sampler.timesteps().end()),
              item.at("timesteps").get<std::vector<int32_t>>())
        << text;
    for (const json& step : item.at("steps")) {
      auto x = step.at("x").get<std::vector<float>>();
      const auto i_step = step.at("i").get<int32_t>();
      sampler.step(i_step, step.at("y").get<std::vector<float>>(), x,
                   step.at("z").get<std::vector<float>>());
      const auto want = step.at("after").get<std::vector<float>>();
      for (size_t i = 0; i < x.size(); ++i) {
        EXPECT_NEAR(x[i], want[i], 1e-6) << text << " " << noise.prediction << " step " << i_step;
      }
    }
  }
}

TEST(ActionSampler, TakesTheTimestepsOfTheReference) {
  EXPECT_THAT(timesteps("ddim:steps=8"), ElementsAre(84, 72, 60, 48, 36, 24, 12, 0));
  EXPECT_EQ(timesteps("ddim:steps=16").front(), 90);
  EXPECT_THAT(timesteps("respaced:steps=4"), ElementsAre(75, 50, 25, 0));
  EXPECT_THAT(timesteps("respaced:steps=4,spacing=trailing"), ElementsAre(99, 74, 49, 24));
  EXPECT_THAT(timesteps("ddim:steps=1"), ElementsAre(0));
  EXPECT_EQ(timesteps("ddpm").size(), 100U);
}

// With the true noise every sampler that adds none ends at the clean action.
TEST(ActionSampler, FindsTheCleanActionFromTheTrueNoise) {
  const ActionSampler sampler(SamplerSpec::parse("ddim:steps=10", {}), {});
  const std::vector<float> clean = {-1, -0.3F, 0, 0.7F};
  const std::vector<float> noise = {0.2F, -1.1F, 0.5F, 2};
  std::vector<float> x(clean.size());
  sampler.diffuse(0, clean, noise, x);
  for (int32_t i = 0; i < sampler.n_steps(); ++i) sampler.step(i, noise, x, {});
  // Each step divides an F32 sum of magnitude 3 at most by sqrt(acp): 0.14 at timestep 90, above
  // 0.3 from there on; a handful of roundings of 2^-24 each.
  for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], clean[i], 3 / 0.14 * 4 * 0x1p-24);
}

TEST(ActionSampler, NeedsNoiseEverywhereButAtTheEndAndInDdim) {
  const ActionSampler ddpm(SamplerSpec::parse("ddpm", {}), {});
  EXPECT_TRUE(ddpm.needs_noise(0));
  EXPECT_TRUE(ddpm.needs_noise(98));
  EXPECT_FALSE(ddpm.needs_noise(99));
  EXPECT_FALSE(ActionSampler(SamplerSpec::parse("ddim:steps=5", {}), {}).needs_noise(0));
}

TEST(ActionSampler, KeepsNanVisible) {
  const ActionSampler sampler(SamplerSpec::parse("ddpm", {}), {});
  std::vector<float> x = {NAN};
  sampler.step(99, std::vector<float>{0}, x, {});
  EXPECT_TRUE(std::isnan(x[0]));
}

TEST(ActionSampler, RefusesWhatTheModelWasNotTrainedFor) {
  EXPECT_THROW(ActionSampler({}, {.prediction = "v_prediction"}), Error);
  EXPECT_THROW(ActionSampler({}, {.clips_sample = false}), Error);
  EXPECT_THROW(ActionSampler({.n_steps = 50}, {}), Error);
  EXPECT_THROW(ActionSampler({.kind = SamplerSpec::Kind::kDdim, .n_steps = 101}, {}), Error);
  EXPECT_THROW(ActionSampler({.kind = SamplerSpec::Kind::kDdim, .n_steps = 0}, {}), Error);
}

TEST(SamplerSpec, ReadsWhatItPrints) {
  for (const std::string text : {"ddpm", "ddim:steps=10", "respaced:steps=20,spacing=trailing"}) {
    EXPECT_EQ(SamplerSpec::parse(text, {}).text(), text);
  }
  EXPECT_EQ(SamplerSpec::parse("ddim:steps=10,spacing=leading", {}).text(), "ddim:steps=10");
}

TEST(SamplerSpec, RefusesByName) {
  EXPECT_THAT(refusal("ddmp"), HasSubstr("did you mean 'ddpm'"));
  EXPECT_THAT(refusal("ddim"), HasSubstr("steps=N is missing"));
  EXPECT_THAT(refusal("ddim:"), HasSubstr("--sampler ddim"));
  EXPECT_THAT(refusal("ddim:steps=101"), HasSubstr("1..100"));
  EXPECT_THAT(refusal("respaced:steps=0"), HasSubstr("1..100"));
  EXPECT_THAT(refusal("ddpm:steps=20"), HasSubstr("respaced:steps=N"));
}

}  // namespace
}  // namespace reprise
