#include <gtest/gtest.h>

#include <random>

#include "core/counting_new_test.h"
#include "core/gguf_file.h"
#include "core/logprobs.h"
#include "core/sampler.h"

namespace reprise {
namespace {

class SamplerAllocations : public testing::TestWithParam<std::pair<float, int32_t>> {};

TEST_P(SamplerAllocations, AreNoneInAThousandDraws) {
  const Tokenizer tokenizer =
      Tokenizer::load(GgufFile::open(LLAMA_CPP_SOURCE "/models/ggml-vocab-gpt-2.gguf"));
  SamplerOptions options;
  options.temp = GetParam().first;
  options.top_k = GetParam().second;
  options.repeat_penalty = 1.1F;
  std::mt19937 rng(1);
  std::normal_distribution<float> normal(0, 3);
  std::vector<float> logits(tokenizer.n_vocab());
  for (float& logit : logits) logit = normal(rng);
  TokenLogprob top[20];
  const int64_t n_before_sampler = count_allocations();
  Sampler sampler(options, tokenizer);
  EXPECT_GT(count_allocations(), n_before_sampler);  // the counter counts
  const int64_t n_before = count_allocations();
  for (int i = 0; i < 1000; ++i) {
    std::swap(logits[i], logits[logits.size() - 1 - i]);
    const int32_t token = sampler.sample(logits);
    sampler.accept(token);
    log_probabilities(logits, token, top);
  }
  EXPECT_EQ(count_allocations(), n_before);
}

INSTANTIATE_TEST_SUITE_P(Ways, SamplerAllocations,
                         testing::Values(std::pair(0.0F, 40), std::pair(0.8F, 40),
                                         std::pair(0.8F, 128), std::pair(0.8F, 1000),
                                         std::pair(0.8F, 0)));

}  // namespace
}  // namespace reprise
