#include "core/sampler.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <random>

#include "core/error.h"
#include "core/gguf_file.h"
#include "llama.h"

namespace reprise {
namespace {

using ::testing::HasSubstr;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

const Tokenizer& gpt2() {
  static const Tokenizer tokenizer =
      Tokenizer::load(GgufFile::open(LLAMA_CPP_SOURCE "/models/ggml-vocab-gpt-2.gguf"));
  return tokenizer;
}

int32_t token_of(const std::string& text) {
  const auto tokens = gpt2().tokenize(text, false, false);
  EXPECT_EQ(tokens.size(), 1U) << text;
  return tokens[0];
}

std::vector<float> random_logits(uint32_t seed, float deviation) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> logits(gpt2().n_vocab());
  for (float& logit : logits) logit = normal(rng);
  return logits;
}

// A model that knows only these tokens.
std::vector<float> logits_of(const std::map<int32_t, float>& known) {
  std::vector<float> logits(gpt2().n_vocab(), -50);
  for (const auto& [token, logit] : known) logits[token] = logit;
  return logits;
}

TEST(SplitMix64, MatchesPublishedNumbers) {  // Rosetta Code, "Pseudo-random numbers/Splitmix64"
  SplitMix64 rng(1234567);
  for (const uint64_t want : {6457827717110365317U, 3203168211198807973U, 9817491932198370423U,
                              4593380528125082431U, 16408922859458223821U}) {
    EXPECT_EQ(rng.next(), want);
  }
  EXPECT_EQ(SplitMix64(1234567).uniform(),
            static_cast<double>(6457827717110365317U >> 11) / 0x1p53);
}

TEST(SamplerOptions, NamesTheFlagAndItsRange) {
  const auto fault_of = [](auto change) -> std::string {
    SamplerOptions options;
    change(options);
    try {
      options.check();
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_EQ(fault_of([](SamplerOptions&) {}), "");
  for (const float bad : {-0.1F, 100.5F, kNan, kInf}) {
    EXPECT_THAT(fault_of([bad](SamplerOptions& o) { o.temp = bad; }),
                HasSubstr(fmt::format("--temp {}: must be from 0 to 100", bad)));
  }
  for (const float bad : {-0.1F, 1.1F, kNan}) {
    EXPECT_THAT(fault_of([bad](SamplerOptions& o) { o.top_p = bad; }), HasSubstr("--top-p"));
    EXPECT_THAT(fault_of([bad](SamplerOptions& o) { o.min_p = bad; }), HasSubstr("--min-p"));
  }
  for (const float bad : {0.0F, -1.0F, 101.0F, kNan}) {
    EXPECT_THAT(fault_of([bad](SamplerOptions& o) { o.repeat_penalty = bad; }),
                HasSubstr("--repeat-penalty"));
  }
  EXPECT_THAT(fault_of([](SamplerOptions& o) { o.top_k = -1; }), HasSubstr("--top-k -1"));
  EXPECT_THAT(fault_of([](SamplerOptions& o) { o.repeat_last_n = -1; }),
              HasSubstr("--repeat-last-n"));
  EXPECT_THAT(fault_of([](SamplerOptions& o) { o.repeat_last_n = 65537; }),
              HasSubstr("--repeat-last-n"));
  EXPECT_THAT(fault_of([](SamplerOptions& o) { o.grammar = "root ::= ("; }),
              HasSubstr("--grammar: line 1, column 10"));
}

TEST(Sampler, TakesTheMostProbableByDefault) {
  Sampler sampler({}, gpt2());
  for (uint32_t seed = 0; seed < 5; ++seed) {
    const auto logits = random_logits(seed, 3);
    EXPECT_EQ(sampler.sample(logits),
              std::max_element(logits.begin(), logits.end()) - logits.begin());
  }
}

TEST(Sampler, RefusesBrokenLogits) {
  for (const float temp : {0.0F, 0.8F}) {
    for (const float penalty : {1.0F, 1.3F}) {
      SamplerOptions options;
      options.temp = temp;
      options.repeat_penalty = penalty;
      Sampler sampler(options, gpt2());
      auto logits = random_logits(1, 1);
      EXPECT_THROW(sampler.sample(std::span(logits).first(100)), Error);
      logits[777] = kNan;
      EXPECT_THROW(sampler.sample(logits), Error);
      EXPECT_THROW(sampler.sample(std::vector<float>(logits.size(), -kInf)), Error);
    }
  }
}

TEST(Sampler, DrawsWithTheProbabilitiesOfItsCandidates) {
  for (const auto& [temp, top_k, top_p, min_p] :
       {Truncation{0.8F, 20, 1, 0}, {1.3F, 0, 0.5F, 0.01F}, {1, 0, 1, 0.2F}}) {
    SamplerOptions options;
    options.temp = temp;
    options.top_k = top_k;
    options.top_p = top_p;
    options.min_p = min_p;
    options.seed = 7;
    const auto logits = random_logits(2, 4);
    Candidates candidates({temp, top_k, top_p, min_p}, gpt2().n_vocab());
    std::map<int32_t, double> p;
    double total = 0;
    for (const Candidate& c : candidates.select(logits)) total += p[c.token] = c.weight;
    ASSERT_GT(p.size(), 3U);
    Sampler sampler(options, gpt2());
    constexpr int kDraws = 2000;
    std::map<int32_t, int> n_drawn;
    for (int i = 0; i < kDraws; ++i) ++n_drawn[sampler.sample(logits)];
    // Tokens with fewer than five expected draws are judged together.
    double chi_square = 0;
    double rest = 0;
    int n_rest = 0;
    int n_cells = 0;
    for (const auto& [token, weight] : p) {
      const double expected = kDraws * weight / total;
      const int n = n_drawn[token];
      if (expected < 5) {
        rest += expected;
        n_rest += n;
      } else {
        chi_square += (n - expected) * (n - expected) / expected;
        ++n_cells;
      }
    }
    if (rest > 0) chi_square += (n_rest - rest) * (n_rest - rest) / std::max(rest, 5.0);
    for (const auto& [token, n] : n_drawn) EXPECT_TRUE(p.contains(token)) << token;
    // Four standard deviations above the mean of the distribution with n_cells degrees of freedom.
    EXPECT_LT(chi_square, n_cells + 4 * std::sqrt(2.0 * n_cells)) << "top_k " << top_k;
  }
}

TEST(Sampler, RepeatsItselfWithTheSameSeedOnly) {
  const auto draws = [](uint64_t seed) {
    SamplerOptions options;
    options.temp = 1;
    options.seed = seed;
    options.repeat_penalty = 1.1F;
    Sampler sampler(options, gpt2());
    std::vector<int32_t> tokens;
    for (uint32_t i = 0; i < 20; ++i) {
      tokens.push_back(sampler.sample(random_logits(i, 2)));
      sampler.accept(tokens.back());
    }
    return tokens;
  };
  EXPECT_EQ(draws(1), draws(1));
  EXPECT_NE(draws(1), draws(2));
}

TEST(Sampler, DrawsTheSameTokensOnEveryLibrary) {
  SamplerOptions options;
  options.temp = 1;
  options.seed = 42;
  Sampler sampler(options, gpt2());
  std::vector<float> logits(gpt2().n_vocab(), -30);
  for (int i = 0; i < 8; ++i) logits[i] = 0;  // eight equal ones: token = floor(8 u)
  SplitMix64 rng(42);
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(sampler.sample(logits), static_cast<int32_t>(8 * rng.uniform()));
  }
}

TEST(Sampler, PenalizesAsLibllamaDoes) {
  for (const int32_t last_n : {1, 3, 64}) {
    SamplerOptions options;
    options.repeat_penalty = 1.7F;
    options.repeat_last_n = last_n;
    Sampler sampler(options, gpt2());
    const std::unique_ptr<llama_sampler, decltype(&llama_sampler_free)> peer(
        llama_sampler_init_penalties(gpt2().n_vocab(), last_n, 1.7F, 0, 0), llama_sampler_free);
    std::mt19937 rng(5);
    // Few tokens matter, so that repetitions are frequent; some logits are negative.
    std::vector<float> logits(gpt2().n_vocab(), -9);
    for (int i = 0; i < 100; ++i) {
      for (int k = 0; k < 6; ++k) logits[k] = static_cast<float>(rng() % 100) / 20 - 3;
      std::vector<llama_token_data> data;
      data.reserve(6);
      for (int k = 0; k < 6; ++k) data.push_back({k, logits[k], 0});
      llama_token_data_array array = {data.data(), data.size(), -1, false};
      llama_sampler_apply(peer.get(), &array);
      const auto best = std::max_element(data.begin(), data.end(),
                                         [](auto& a, auto& b) { return a.logit < b.logit; });
      const int32_t token = sampler.sample(logits);
      ASSERT_EQ(token, best->id) << "last_n " << last_n << " draw " << i;
      sampler.accept(token);
      llama_sampler_accept(peer.get(), token);
    }
  }
}

TEST(Sampler, PenalizesThePromptAndRefusesForeignTokens) {
  SamplerOptions options;
  options.repeat_penalty = 2;
  Sampler sampler(options, gpt2());
  const auto logits = logits_of({{10, 3}, {11, 2}});
  EXPECT_EQ(sampler.sample(logits), 10);
  sampler.accept_prompt(std::vector<int32_t>{10, 10});
  EXPECT_EQ(sampler.sample(logits), 11);  // 3 / 2, once
  EXPECT_THROW(sampler.accept(-1), Error);
  EXPECT_THROW(sampler.accept(gpt2().n_vocab()), Error);
}

// A list of numbers, told by a model that would rather say something else.
TEST(Sampler, GreedyByGrammarEqualsMaskingEverything) {
  SamplerOptions options;
  options.grammar = "root ::= \"[\" [1-9] [0-9]{0,3} (\", \" [1-9] [0-9]{0,3}){5,9} \"]\"";
  Sampler sampler(options, gpt2());
  Grammar grammar(options.grammar, gpt2());
  std::string text;
  for (uint32_t seed = 0;; ++seed) {
    ASSERT_LT(seed, 100U) << text;
    auto logits = random_logits(seed, 2);
    // Sometimes the model knows, sometimes nothing allowed is among its best 128.
    if (seed % 2 == 0) {
      for (int digit = 0; digit < 10; ++digit) logits[token_of(std::to_string(digit))] += 9;
    }
    const int32_t token = sampler.sample(logits);
    ASSERT_GT(grammar.mask(logits), 0);
    ASSERT_EQ(token, std::max_element(logits.begin(), logits.end()) - logits.begin());
    sampler.accept(token);
    grammar.accept(token);
    if (gpt2().is_end(token)) break;
    text += gpt2().piece(token);
  }
  EXPECT_THAT(text, ::testing::MatchesRegex("\\[[1-9][0-9]*(, [1-9][0-9]*)+\\]"));
}

TEST(Sampler, DrawsByGrammarInProportion) {
  SamplerOptions options;
  options.temp = 1;
  options.top_k = 0;
  options.top_p = 1;
  options.min_p = 0;
  options.grammar = "root ::= \"b\" | \"c\"";
  Sampler sampler(options, gpt2());
  const int32_t b = token_of("b");
  const int32_t c = token_of("c");
  // Allowed are 0.1 and 0.3 of 1.
  const auto logits = logits_of({{token_of("a"), std::log(6.0F)}, {b, 0}, {c, std::log(3.0F)}});
  constexpr int kDraws = 200;
  int n_b = 0;
  for (int i = 0; i < kDraws; ++i) {
    const int32_t token = sampler.sample(logits);
    ASSERT_TRUE(token == b || token == c) << token;
    n_b += token == b ? 1 : 0;
  }
  EXPECT_NEAR(n_b, kDraws * 0.25, 4 * std::sqrt(kDraws * 0.25 * 0.75));  // four standard deviations
}

TEST(Sampler, EndsWhenTheGrammarIsCompleteAndRefusesADeadEnd) {
  for (const float temp : {0.0F, 1.0F}) {
    SamplerOptions options;
    options.temp = temp;
    options.grammar = "root ::= \"a\"";
    Sampler sampler(options, gpt2());
    const auto logits = random_logits(1, 2);
    EXPECT_THROW(sampler.accept(token_of("b")), Error);
    const int32_t token = sampler.sample(logits);
    EXPECT_EQ(token, token_of("a"));
    sampler.accept(token);
    EXPECT_TRUE(gpt2().is_end(sampler.sample(logits)));
    options.grammar = "root ::= \"\\x00\"";  // no token has this character
    Sampler stuck(options, gpt2());
    EXPECT_THROW(stuck.sample(logits), Error);
  }
}

TEST(Sampler, ChecksItsOptions) {
  SamplerOptions options;
  options.temp = -1;
  EXPECT_THROW(Sampler(options, gpt2()), Error);
  options.temp = 0;
  options.grammar = "root ::= root";
  EXPECT_THROW(Sampler(options, gpt2()), Error);
}

}  // namespace
}  // namespace reprise
