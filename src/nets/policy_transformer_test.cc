#include "nets/policy_transformer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <numbers>
#include <random>
#include <string>
#include <vector>

#include "core/mapped_file.h"
#include "nets/policy_memory.h"

namespace reprise {
namespace {

// What the project grants F32 (tools/golden_policy.py): PyTorch's own F32 is 1.3e-6 from its F64.
constexpr float kTolerance = 1e-5F;
constexpr const char* kTiny = REPRISE_SOURCE_DIR "/tests/golden/control/policy-tiny.safetensors";
constexpr const char* kTinyEncoder =
    REPRISE_SOURCE_DIR "/tests/golden/control/policy-tiny-encoder.safetensors";
constexpr const char* kDemo = REPRISE_SOURCE_DIR "/models/pusht/pusht-demo.gguf";

using Model = PolicyTransformerModel;

// The numbers of a golden file, taken one piece after the other.
class GoldenValues {
 public:
  explicit GoldenValues(const char* name) {
    const MappedFile file(std::string(REPRISE_SOURCE_DIR "/tests/golden/control/") + name);
    values_.resize(file.bytes().size() / sizeof(float));
    std::memcpy(values_.data(), file.bytes().data(), values_.size() * sizeof(float));
  }
  std::vector<float> take(int64_t n) {
    const auto begin = values_.begin() + static_cast<ptrdiff_t>(at_);
    at_ += static_cast<size_t>(n);
    EXPECT_LE(at_, values_.size());
    return {begin, begin + n};
  }
  bool is_at_end() const { return at_ == values_.size(); }

 private:
  std::vector<float> values_;
  size_t at_ = 0;
};

float largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  float largest = 0;
  for (size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

// x, observations of a decoder, then what tools/golden_policy.py lists for each timestep.
void expect_golden(const Model& model, const char* name) {
  const PolicyHparams& hp = model.hparams;
  GoldenValues golden(name);
  const std::vector<float> x = golden.take(hp.n_horizon * hp.n_channels());
  const std::vector<float> obs = hp.is_encoder_only ? std::vector<float>(hp.n_obs_steps * hp.n_obs)
                                                    : golden.take(hp.n_obs_steps * hp.n_obs);
  PolicyMemory memory;
  remember_observations(model, obs, memory);
  PolicyWorkspace workspace(model, 1);
  const int64_t n = hp.n_rows() * hp.n_embd;
  for (const int32_t t : {0, 37, 99}) {
    for (int32_t b = 0; b < hp.n_branches(); ++b) {
      const std::vector<float> h = golden.take(n);
      const std::vector<float> want = golden.take(n);
      std::vector<float> out(n);
      branch(model, {b, t, {0, 1}, h.data(), out.data()}, memory, workspace);
      EXPECT_LT(largest_difference(out, want), kTolerance) << "timestep " << t << " branch " << b;
    }
    const std::vector<float> want = golden.take(x.size());
    EXPECT_LT(largest_difference(predict_all(model, x, t, memory, {0, 1}, workspace), want),
              kTolerance)
        << "timestep " << t;
  }
  EXPECT_TRUE(golden.is_at_end());
}

TEST(PolicyTransformer, EqualsPyTorchBranchByBranch) {
  expect_golden(*Model::load(kTiny), "policy-tiny.bin");
}

TEST(PolicyTransformer, EqualsPyTorchWithoutADecoder) {
  expect_golden(*Model::load(kTinyEncoder), "policy-tiny-encoder.bin");
}

// The demonstration model against PyTorch in F32 with the weights in F16.
TEST(PolicyTransformer, EqualsPyTorchOnTheDemoModel) {
  const auto model = Model::load(kDemo);
  GoldenValues golden("pusht-demo.bin");
  const std::vector<float> x = golden.take(32);
  const std::vector<float> obs = golden.take(36);
  const std::vector<float> want = golden.take(32);
  PolicyMemory memory;
  remember_observations(*model, obs, memory);
  PolicyWorkspace workspace(*model, 1);
  const float difference =
      largest_difference(predict_all(*model, x, 37, memory, {0, 1}, workspace), want);
  RecordProperty("largest_difference", std::to_string(difference));
  EXPECT_LT(difference, kTolerance);
}

TEST(PolicyTransformer, HoldsWeightsInTheTypeAskedFor) {
  GoldenValues golden("pusht-demo.bin");
  const std::vector<float> x = golden.take(32);
  const std::vector<float> obs = golden.take(36);
  const auto run = [&](const Model& model) {
    PolicyMemory memory;
    remember_observations(model, obs, memory);
    PolicyWorkspace workspace(model, 1);
    return predict_all(model, x, 37, memory, {0, 1}, workspace);
  };
  const auto as_is = Model::load(kDemo);
  const auto f32 = Model::load(kDemo, PolicyWeights::kF32);
  const auto q8 = Model::load(kDemo, PolicyWeights::kQ8_0);
  EXPECT_EQ(f32->weight_bytes, 2 * as_is->weight_bytes);
  EXPECT_EQ(q8->weight_bytes * 64, as_is->weight_bytes * 34);
  EXPECT_EQ(as_is->hash, q8->hash);  // of the file
  // F16 holds the file's values exactly, and both kernels sum in the same order.
  EXPECT_EQ(run(*as_is), run(*f32));
  EXPECT_EQ(run(*as_is), run(*Model::load(kDemo, PolicyWeights::kF16)));
  const float rounded = largest_difference(run(*as_is), run(*q8));
  EXPECT_GT(rounded, 0.0F);
  EXPECT_LT(rounded, 0.1F);
}

// Random observations and actions of n robots.
struct Robots {
  Robots(const Model& model, int64_t n) {
    const PolicyHparams& hp = model.hparams;
    std::mt19937 rng(5);
    std::normal_distribution<float> normal;
    for (int64_t i = 0; i < n * hp.n_obs_steps * hp.n_obs; ++i) obs.push_back(normal(rng));
    for (int64_t i = 0; i < n * hp.n_horizon * hp.n_channels(); ++i) x.push_back(normal(rng));
    remember_observations(model, obs, memory);
  }
  std::vector<float> obs;
  std::vector<float> x;
  PolicyMemory memory;
};

TEST(PolicyTransformer, OtherRobotsChangeNoBit) {
  for (const char* path : {kTiny, kTinyEncoder, kDemo}) {
    const auto model = Model::load(path);
    const int64_t n = model->hparams.n_horizon * model->hparams.n_channels();
    const int64_t n_seen = model->hparams.n_obs_steps * model->hparams.n_obs;
    const Robots robots(*model, 3);
    PolicyWorkspace workspace(*model, 3);
    const std::vector<float> all =
        predict_all(*model, robots.x, 40, robots.memory, {0, 3}, workspace);
    for (int64_t i = 0; i < 3; ++i) {
      const std::vector<float> x(robots.x.begin() + i * n, robots.x.begin() + (i + 1) * n);
      const std::vector<float> want(all.begin() + i * n, all.begin() + (i + 1) * n);
      EXPECT_EQ(predict_all(*model, x, 40, robots.memory, {i, 1}, workspace), want);
      PolicyMemory alone;
      remember_observations(*model, std::span(robots.obs).subspan(i * n_seen, n_seen), alone);
      EXPECT_EQ(predict_all(*model, x, 40, alone, {0, 1}, workspace), want);
    }
  }
}

TEST(PolicyTransformer, AReusedStepEqualsItsParts) {
  for (const char* path : {kTiny, kTinyEncoder, kDemo}) {
    const auto model = Model::load(path);
    const PolicyHparams& hp = model->hparams;
    const int64_t n_rows = 2 * hp.n_rows();
    const Robots robots(*model, 2);
    std::vector<float> sum(static_cast<size_t>(n_rows * hp.n_embd));
    std::mt19937 rng(6);
    for (float& value : sum) value = std::normal_distribution<float>()(rng);
    std::vector<float> h(sum.size());
    embed_actions(*model, robots.x.data(), 2, 12, h.data());
    for (size_t i = 0; i < h.size(); ++i) h[i] += sum[i];
    std::vector<float> want(robots.x.size());
    predict(*model, h.data(), 2, want.data());
    PolicyWorkspace workspace(*model, 2);
    std::vector<float> y(want.size());
    reuse_step(*model, robots.x.data(), sum.data(), 2, y.data(), workspace);
    EXPECT_EQ(y, want);
  }
}

TEST(PolicyTransformer, ShowsNanInItsRobotAlone) {
  const auto model = Model::load(kTiny);
  Robots robots(*model, 2);
  PolicyWorkspace workspace(*model, 2);
  const size_t n = robots.x.size() / 2;
  robots.x[n + 3] = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> y = predict_all(*model, robots.x, 3, robots.memory, {0, 2}, workspace);
  for (size_t i = 0; i < n; ++i) EXPECT_TRUE(std::isfinite(y[i]));
  EXPECT_FALSE(std::isfinite(y.back()));
}

TEST(PolicyMemory, MishIsThatOfItsDefinition) {
  for (int32_t i = -12000; i <= 12000; ++i) {
    const float z = 0.01F * static_cast<float>(i);
    const double want = z * std::tanh(std::log1p(std::exp(static_cast<double>(z))));
    EXPECT_NEAR(mish(z), want, 0x1p-24 * std::abs(want) + 1e-44) << z;
  }
}

TEST(PolicyMemory, TimeEmbeddingIsSinesThenCosinesOverHalfLessOne) {
  std::vector<float> e(8);
  time_embedding(7, e);
  for (int i = 0; i < 4; ++i) {
    const double angle = 7 * std::pow(10000.0, -i / 3.0);
    // The frequency rounds to F32 (an exponential of a rounded argument), and angles are up to 7.
    const double bound = angle * 0x1p-20 + 0x1p-23;
    EXPECT_NEAR(e[i], std::sin(angle), bound);
    EXPECT_NEAR(e[4 + i], std::cos(angle), bound);
  }
}

}  // namespace
}  // namespace reprise
