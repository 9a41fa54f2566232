#include "engines/control/calibrate.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <random>

#include "core/error.h"
#include "engines/control/branch_error.h"

namespace reprise {
namespace {

std::shared_ptr<const PolicyTransformerModel> tiny_model() {
  static const auto model = PolicyTransformerModel::load(
      REPRISE_SOURCE_DIR "/tests/golden/control/policy-tiny.safetensors");
  return model;
}

SamplerSpec sampler() { return SamplerSpec::parse("ddim:steps=10", tiny_model()->noise); }

std::vector<std::vector<float>> observations(int32_t n) {
  std::mt19937 random(1);
  const AffineChannels& channels = tiny_model()->obs;
  std::vector<std::vector<float>> all(n, std::vector<float>(15));
  for (std::vector<float>& obs : all) {
    for (size_t i = 0; i < obs.size(); ++i) {
      const auto share = static_cast<float>(random() % 1000) / 1000;
      obs[i] = channels.min[i % 5] + share * (channels.max[i % 5] - channels.min[i % 5]);
    }
  }
  return all;
}

// Outputs by branch and step of one uncached call.
std::map<std::pair<int32_t, int32_t>, std::vector<float>> outputs(const Backend& backend,
                                                                  const std::vector<float>& obs,
                                                                  uint64_t seed) {
  const ActionSampler steps(sampler(), tiny_model()->noise);
  DiffusionPolicy policy(tiny_model(), backend, sampler(),
                         full_schedule(tiny_model()->hparams, steps));
  std::map<std::pair<int32_t, int32_t>, std::vector<float>> all;
  policy.set_observer([&](int32_t b, int32_t k, std::span<const float> output) {
    all[{b, k}].assign(output.begin(), output.end());
  });
  policy.act({.obs = obs, .seed = seed});
  return all;
}

TEST(CalibrateBranches, AveragesTheCosinesOfItsCalls) {
  const auto obs = observations(2);
  const std::vector<uint64_t> seeds = {5, 9};
  const BranchMetric metrics[] = {BranchMetric::kCosine};
  int32_t n_told = 0;
  CalibrateEvents events;
  events.on_call = [&](int32_t n_done) { EXPECT_EQ(n_done, ++n_told); };
  const Backend backend(2);
  const MeasuredCalibration measured =
      calibrate_branches(tiny_model(), backend, sampler(), obs, seeds, metrics, events);
  EXPECT_EQ(n_told, 2);
  EXPECT_EQ(measured.n_zeroed, 0);
  EXPECT_EQ(measured.record.n_calls, 2);
  EXPECT_EQ(measured.record.seeds, seeds);
  EXPECT_EQ(measured.record.subject.model_hash, tiny_model()->hash);
  EXPECT_EQ(measured.record.subject.sampler, "ddim:steps=10");
  EXPECT_EQ(measured.record.subject.timesteps,
            (std::vector<int32_t>{90, 80, 70, 60, 50, 40, 30, 20, 10, 0}));
  const BranchCalibration& calibration = measured.record.calibration;
  ASSERT_EQ(calibration.shape, (BranchShape{2, 10}));
  const std::vector<float>& cosines = calibration.similarity.at(BranchMetric::kCosine);
  const Backend one(1);
  std::vector<double> want(cosines.size());
  std::vector<double> volatility(6);
  for (int32_t i = 0; i < 2; ++i) {
    auto all = outputs(one, obs[i], seeds[i]);
    for (int32_t b = 0; b < 6; ++b) {
      for (int32_t j = 0; j < 10; ++j) {
        for (int32_t k = 0; k < 10; ++k) {
          const std::vector<float>& a = all.at({b, j});
          const std::vector<float>& c = all.at({b, k});
          double product = 0;
          double a_square = 0;
          double c_square = 0;
          double difference = 0;
          for (size_t v = 0; v < a.size(); ++v) {
            product += static_cast<double>(a[v]) * c[v];
            a_square += static_cast<double>(a[v]) * a[v];
            c_square += static_cast<double>(c[v]) * c[v];
            difference += std::abs(static_cast<double>(a[v]) - c[v]);
          }
          want[(b * 10 + j) * 10 + k] += product / std::sqrt(a_square * c_square) / 2;
          if (j < k) volatility[b] += difference / static_cast<double>(a.size()) / 45 / 2;
        }
      }
    }
  }
  // 16 products at most are added up in F32, and the mean is rounded to it.
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(cosines[i], want[i], 17 * 0x1p-24);
  for (int32_t b = 0; b < 6; ++b) {
    EXPECT_NEAR(calibration.volatility[b], volatility[b], 17 * 0x1p-24 * volatility[b]);
  }
}

TEST(CalibrationSubject, IsCalledWhatFindsTheModel) {
  namespace fs = std::filesystem;
  const std::string installed = REPRISE_SOURCE_DIR "/models/pusht/pusht-demo.gguf";
  const fs::path other =
      fs::temp_directory_path() / fmt::format("calibrate_test.{}.gguf", getpid());
  fs::copy_file(installed, other, fs::copy_options::overwrite_existing);
  const auto model = PolicyTransformerModel::load(other.string());
  fs::remove(other);
  ASSERT_EQ(model->name, PolicyTransformerModel::load(installed)->name);
  const ActionSampler ddpm(SamplerSpec::parse("ddpm", model->noise), model->noise);
  EXPECT_EQ(calibration_subject(*model, ddpm).command(),
            fmt::format("reprise calibrate {} --sampler ddpm", other.string()));
  // One without a name is found by its path alone.
  EXPECT_EQ(calibration_subject(*tiny_model(), ddpm).model, tiny_model()->path);
}

TEST(CalibrateBranches, NeedsASeedForEachObservation) {
  const Backend backend(1);
  const BranchMetric metrics[] = {BranchMetric::kCosine};
  const std::vector<uint64_t> seeds = {5, 9};
  EXPECT_THROW(
      calibrate_branches(tiny_model(), backend, sampler(), observations(1), seeds, metrics), Error);
  EXPECT_THROW(calibrate_branches(tiny_model(), backend, sampler(), {}, {}, metrics), Error);
}

TEST(BranchErrors, AreThoseOfOutputsThatJoinTheRows) {
  const Backend backend(1);
  const auto obs = observations(2);
  BranchSchedule schedule({2, 10}, false);
  const std::vector<int32_t> steps = {0, 5};
  schedule.set_steps(5, steps);  // the last feed-forward
  const BranchErrors errors = branch_errors(tiny_model(), backend, sampler(), schedule, obs, 30);
  DiffusionPolicy policy(tiny_model(), backend, sampler(), schedule);
  std::map<std::pair<int32_t, int32_t>, std::vector<float>> used;
  std::vector<double> want(60);
  for (int32_t i = 0; i < 2; ++i) {
    policy.set_observer([&](int32_t b, int32_t k, std::span<const float> output) {
      used[{b, k}].assign(output.begin(), output.end());
    });
    policy.act({.obs = obs[i], .seed = 30U + i});
    auto exact = outputs(backend, obs[i], 30U + i);
    for (int32_t b = 0; b < 6; ++b) {
      for (int32_t k = 0; k < 10; ++k) {
        const std::vector<float>& value = used.at({b, b == 5 && k >= 5 ? 5 : 0});
        double error = 0;
        double norm = 0;
        for (size_t v = 0; v < value.size(); ++v) {
          error += std::pow(static_cast<double>(value[v]) - exact.at({b, k})[v], 2);
          norm += std::pow(exact.at({b, k})[v], 2);
        }
        want[b * 10 + k] += error / norm / 2;
      }
    }
  }
  for (int32_t b = 0; b < 6; ++b) {
    EXPECT_EQ(errors.at(b, 0), 0);
    for (int32_t k = 0; k < 10; ++k) {
      EXPECT_NEAR(errors.at(b, k), std::sqrt(want[b * 10 + k]), 1e-12);
    }
  }
  EXPECT_EQ(errors.at_updates(0, schedule), 0);  // never computed anew
  EXPECT_EQ(errors.at_updates(5, schedule), errors.at(5, 5));
  EXPECT_GT(errors.at(5, 5), 0);  // computed from stale rows
}

TEST(BranchErrors, AreZeroWhenAllIsComputed) {
  const Backend backend(1);
  const BranchErrors errors =
      branch_errors(tiny_model(), backend, sampler(), {{2, 10}, true}, observations(1), 3);
  for (const double error : errors.relative) EXPECT_EQ(error, 0);
}

}  // namespace
}  // namespace reprise
