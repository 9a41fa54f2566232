// The decoder on a GPU against the same plain form on the CPU.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <optional>
#include <random>

#include "core/error.h"
#include "engines/generate/sequence.h"
#include "policies/registry.h"
#include "support/tiny_model.h"

namespace reprise {
namespace {

constexpr int32_t kLayers = 7;

class CudaLogits : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    try {
      cuda_.emplace(2, WeightUse::kExpand, Device{Device::Kind::kCuda});
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
    // Heads of a size that ggml's CUDA attention has a kernel for.
    test::write_tiny_model({.arch = GetParam(),
                            .type = GGML_TYPE_F16,
                            .n_embd = 128,
                            .n_layer = kLayers,
                            .n_embd_head = 64},
                           path_);
    const auto file = std::make_shared<GgufFile>(GgufFile::open(path_));
    here_ = DecoderModel::load(file);
    there_ = DecoderModel::load(file, {cuda_->buffer_type()});
  }
  void TearDown() override { std::filesystem::remove(path_); }

  static std::vector<int32_t> tokens(int32_t n, uint32_t seed) {
    std::mt19937 rng(seed);
    std::vector<int32_t> out(n);
    for (int32_t& token : out) token = static_cast<int32_t>(rng() % 320);
    return out;
  }

  // A layer rounds eight operands to F16 (or TF32, which has as many bits), each by 2^-11 at most;
  // norms keep what a layer adds from growing faster than the stream itself.
  static void expect_near(std::span<const float> got, std::span<const float> want) {
    ASSERT_EQ(got.size(), want.size());
    double wrong = 0;
    double total = 0;
    for (size_t i = 0; i < want.size(); ++i) {
      wrong += (got[i] - want[i]) * (got[i] - want[i]);
      total += want[i] * want[i];
    }
    EXPECT_LT(std::sqrt(wrong / total), 8 * kLayers * std::ldexp(1.0, -11));
  }

  std::string path_ = (std::filesystem::temp_directory_path() /
                       ("reprise_cuda_logits_" + std::to_string(getpid()) + ".gguf"))
                          .string();
  Backend plain_{2, WeightUse::kExpand, {Device::Kind::kGgmlCpu}};
  std::optional<Backend> cuda_;
  std::shared_ptr<const DecoderModel> here_;
  std::shared_ptr<const DecoderModel> there_;
};

// streaming keeps the same entries whatever the numbers, so that decoding sees the same.
TEST_P(CudaLogits, EqualTheCpus) {
  for (const char* spec : {"full", "full:type=q8_0", "full:type=q4_0", "streaming:budget=200"}) {
    const std::shared_ptr<const KvPolicy> policy = make_kv_policy(spec);
    Sequence here(here_, plain_, policy);
    Sequence there(there_, *cuda_, policy);
    for (const uint32_t turn : {1U, 2U}) {
      SCOPED_TRACE(spec);
      const std::vector<int32_t> prompt = tokens(700, turn);
      expect_near(there.prefill(prompt, {}), here.prefill(prompt, {}));
      for (const int32_t token : tokens(10, turn + 10)) {
        expect_near(there.decode(token), here.decode(token));
      }
    }
  }
}

// The scores are near each other only, so entries at the edge of the budget may differ.
TEST_P(CudaLogits, CakeKeepsNearlyTheSame) {
  const std::shared_ptr<const KvPolicy> policy = make_kv_policy("cake:budget=200,window=16");
  Sequence here(here_, plain_, policy);
  Sequence there(there_, *cuda_, policy);
  const std::vector<int32_t> prompt = tokens(700, 5);
  expect_near(there.prefill(prompt, {}), here.prefill(prompt, {}));
  const std::vector<double>& want = here.last_prefill().preference;
  const std::vector<double>& got = there.last_prefill().preference;
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], 0.1 * want[i]) << i;
  EXPECT_TRUE(std::isfinite(there.decode(3)[0]));
}

INSTANTIATE_TEST_SUITE_P(Architectures, CudaLogits,
                         ::testing::Values("llama", "qwen2", "qwen3", "gemma3"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace reprise
