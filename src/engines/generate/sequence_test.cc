#include "engines/generate/sequence.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <random>

#include "core/error.h"
#include "support/peer.h"
#include "support/tiny_model.h"

namespace reprise {
namespace {

std::vector<int32_t> random_tokens(int32_t n, int32_t n_vocab, uint32_t seed) {
  std::mt19937 rng(seed);
  std::vector<int32_t> tokens(n);
  for (int32_t& token : tokens) token = static_cast<int32_t>(rng() % n_vocab);
  return tokens;
}

float max_difference(std::span<const float> a, std::span<const float> b) {
  EXPECT_EQ(a.size(), b.size());
  float max = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    max = std::max(max, std::abs(a[i] - b[i]));
  return max;
}

class SequenceAgainstPeer : public ::testing::TestWithParam<std::string> {
 protected:
  std::string path_ = (std::filesystem::temp_directory_path() /
                       ("reprise_tiny_" + GetParam() + std::to_string(getpid()) + ".gguf"))
                          .string();
  void TearDown() override { std::filesystem::remove(path_); }

  std::shared_ptr<const DecoderModel> model(const test::TinyModel& tiny) {
    test::write_tiny_model(tiny, path_);
    return DecoderModel::load(std::make_shared<GgufFile>(GgufFile::open(path_)));
  }
};

TEST_P(SequenceAgainstPeer, LogitsEqualLibllama) {
  const test::TinyModel tiny{.arch = GetParam()};
  const auto decoder = model(tiny);
  const Backend backend(2);
  Sequence sequence(decoder, backend);
  // Both keep an F16 cache here, so that the rounding of K and V is the same; the rest is F32 in
  // another order.
  test::Peer peer(path_, {});
  const std::vector<int32_t> tokens = random_tokens(600, tiny.n_vocab, 7);
  const std::vector<float> want = peer.extend_all(tokens);
  const std::span<const float> got = sequence.extend_all(std::span(tokens).first(590));
  const std::vector<float> prefix(got.begin(), got.end());
  EXPECT_LT(max_difference(prefix, std::span(want).first(prefix.size())), 2e-2F);
  for (int32_t i = 590; i < 600; ++i) {  // decode continues where the prefill stopped
    const std::span<const float> row = sequence.extend(std::span(tokens).subspan(i, 1));
    EXPECT_LT(max_difference(row, std::span(want).subspan(static_cast<size_t>(i) * tiny.n_vocab,
                                                          tiny.n_vocab)),
              2e-2F);
  }
}

INSTANTIATE_TEST_SUITE_P(Architectures, SequenceAgainstPeer,
                         ::testing::Values("llama", "qwen2", "qwen3", "gemma3"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace reprise
