#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>

#include "core/counting_new_test.h"
#include "core/sampler.h"
#include "engines/generate/answer.h"
#include "engines/generate/sequence.h"
#include "engines/text_model.h"
#include "policies/registry.h"
#include "support/tiny_chat_model.h"
#include "support/tiny_model.h"

namespace reprise {
namespace {

constexpr int32_t kSteps = 1000;
constexpr int32_t kWarmUp = 8;  // steps

struct Case {
  const char* kv;  // as --kv takes it
  int32_t n_prompt = 600;
  float temp = 0;
  const char* arch = "llama";
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << c.kv << ", " << c.n_prompt << " tokens, temperature " << c.temp << ", " << c.arch;
}

class DecodeAllocations : public testing::TestWithParam<Case> {
 protected:
  std::string path_ = (std::filesystem::temp_directory_path() /
                       ("reprise_allocations_" + std::to_string(getpid()) + ".gguf"))
                          .string();
  // The random model has as many tokens as this vocabulary, so that the sampler is the real one.
  Tokenizer tokenizer_ =
      Tokenizer::load(GgufFile::open(LLAMA_CPP_SOURCE "/models/ggml-vocab-llama-spm.gguf"));
  Backend backend_{1};

  void TearDown() override { std::filesystem::remove(path_); }

  Sequence sequence(const Case& c) {
    test::write_tiny_model({.arch = c.arch,
                            .type = GGML_TYPE_Q4_0,
                            .n_vocab = tokenizer_.n_vocab(),
                            .n_embd_head = 32},
                           path_);
    auto model = DecoderModel::load(std::make_shared<GgufFile>(GgufFile::open(path_)));
    return {std::move(model), backend_, std::shared_ptr<const KvPolicy>(make_kv_policy(c.kv))};
  }
  std::vector<int32_t> prompt(int32_t n) const {
    std::vector<int32_t> tokens(n);
    for (int32_t i = 0; i < n; ++i) tokens[i] = (i * 7919 + 13) % tokenizer_.n_vocab();
    return tokens;
  }
};

TEST_P(DecodeAllocations, AreNoneInAThousandSteps) {
  const Case& c = GetParam();
  Sequence ours = sequence(c);
  SamplerOptions options;
  options.temp = c.temp;
  options.top_k = 128;
  Sampler sampler(options, tokenizer_);
  std::span<const float> logits = ours.prefill(prompt(c.n_prompt), {.n_growth = kWarmUp + kSteps});
  const auto step = [&] {
    const int32_t token = sampler.sample(logits);
    sampler.accept(token);
    logits = ours.decode(token);
  };
  const int64_t n_before_warm_up = count_allocations();
  EXPECT_GT(n_before_warm_up, 0);  // the counter counts
  for (int32_t i = 0; i < kWarmUp; ++i) step();
  const int64_t n_before = count_allocations();
  for (int32_t i = 0; i < kSteps; ++i) step();
  EXPECT_EQ(count_allocations() - n_before, 0)
      << n_before - n_before_warm_up << " in the " << kWarmUp << " steps of warm-up";
  EXPECT_EQ(ours.n_past(), c.n_prompt + kWarmUp + kSteps);
}

INSTANTIATE_TEST_SUITE_P(Policies, DecodeAllocations,
                         testing::Values(Case{"full"}, Case{"full", 9, 0.8F},
                                         Case{"full:type=q8_0", 9},
                                         Case{"cake:budget=64", 600, 0.8F},
                                         Case{"cake:budget=64,decode=cake", 600},
                                         Case{"cake:budget=64,decode=cake", 9, 0.8F},
                                         Case{"cake:budget=64,decode=cake_official,every=7", 600},
                                         Case{"tova:budget=64,decode=tova", 600, 0.8F},
                                         Case{"tova:budget=64,decode=ema,type=q4_0", 600},
                                         Case{"full", 600, 0, "gemma3"},
                                         Case{"tova:budget=64,decode=tova", 600, 0, "gemma3"}));

// What `run` does with every token besides: its text, whole characters of it, stop texts, printing.
// Buffers that grow double, so that no token needs an allocation of its own.
TEST_F(DecodeAllocations, OfTextAndPrintingAreNoneAToken) {
  test::write_tiny_model(test::tiny_chat_model({.n_layer = 2, .n_embd_head = 32}), path_);
  const std::shared_ptr<const TextModel> model = TextModel::load(path_);
  const std::vector<int32_t> tokens = model->tokenizer.tokenize("Tell me a story.", true, false);
  const std::unique_ptr<std::FILE, decltype(&std::fclose)> nowhere(std::fopen("/dev/null", "w"),
                                                                   &std::fclose);
  ASSERT_NE(nowhere, nullptr);
  AnswerEvents events;
  events.on_text = [&](std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), nowhere.get());
    std::fflush(nowhere.get());
  };
  const auto allocations_of = [&](int32_t n_tokens) {
    Sequence ours(model->decoder, backend_,
                  std::shared_ptr<const KvPolicy>(make_kv_policy("full")));
    const std::span<const float> logits = ours.prefill(tokens, {.n_growth = kWarmUp + kSteps});
    AnswerOptions options;
    options.max_tokens = n_tokens;
    options.sampler.temp = 0.8F;
    options.stop = {"never seen", "nor this"};
    const int64_t n_before = count_allocations();
    const AnswerReport report = generate_answer(ours, *model, logits, options, events);
    EXPECT_EQ(report.tokens.size(), static_cast<size_t>(n_tokens));
    return count_allocations() - n_before;
  };
  allocations_of(kSteps);  // the file takes its buffer
  const int64_t n_first = allocations_of(kSteps / 8);
  const int64_t n_all = allocations_of(kSteps);
  std::cout << "text and printing: " << n_all - n_first << " heap allocations in "
            << kSteps - kSteps / 8 << " tokens, " << n_first << " in the " << kSteps / 8
            << " before\n";
  EXPECT_LT(n_all - n_first, (kSteps - kSteps / 8) / 16);
}

// Nothing is promised for grammars: libllama keeps their state in fresh vectors. The count is for
// the record.
TEST_F(DecodeAllocations, OfGrammarsAreLibllamas) {
  constexpr int32_t kTokens = 200;
  SamplerOptions options;
  options.grammar = "root ::= ([a-z]+ \" \")+";
  Sampler sampler(options, tokenizer_);
  std::vector<float> logits(tokenizer_.n_vocab());
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i * 2654435761U % 997);
  const int64_t n_before = count_allocations();
  for (int32_t i = 0; i < kTokens; ++i) {
    const int32_t token = sampler.sample(logits);
    sampler.accept(token);
    std::swap(logits[token], logits[i]);
  }
  const int64_t n_counted = count_allocations() - n_before;
  EXPECT_GT(n_counted, 0);
  std::cout << "grammar: " << n_counted / kTokens << " heap allocations a token\n";
}

}  // namespace
}  // namespace reprise
