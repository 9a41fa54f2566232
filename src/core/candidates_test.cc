#include "core/candidates.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <random>

#include "core/error.h"
#include "llama.h"

namespace reprise {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<float> random_logits(uint32_t seed, size_t n_vocab, float deviation) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> logits(n_vocab);
  for (float& logit : logits) logit = normal(rng);
  return logits;
}

struct Choice {
  int32_t token;
  double p;
};

std::vector<Choice> by_token(std::vector<Choice> choices) {
  std::sort(choices.begin(), choices.end(),
            [](const Choice& a, const Choice& b) { return a.token < b.token; });
  return choices;
}

std::vector<Choice> ours(const Truncation& t, const std::vector<float>& logits) {
  Candidates candidates(t, static_cast<int32_t>(logits.size()));
  const auto kept = candidates.select(logits);
  double total = 0;
  for (const Candidate& c : kept) total += c.weight;
  std::vector<Choice> choices;
  for (const Candidate& c : kept) choices.push_back({c.token, c.weight / total});
  return by_token(choices);
}

// The same through libllama's chain in its default order.
std::vector<Choice> theirs(const Truncation& t, const std::vector<float>& logits) {
  const std::unique_ptr<llama_sampler, decltype(&llama_sampler_free)> chain(
      llama_sampler_chain_init(llama_sampler_chain_default_params()), llama_sampler_free);
  llama_sampler_chain_add(chain.get(), llama_sampler_init_top_k(t.top_k));
  llama_sampler_chain_add(chain.get(), llama_sampler_init_top_p(t.top_p, 0));
  llama_sampler_chain_add(chain.get(), llama_sampler_init_min_p(t.min_p, 0));
  llama_sampler_chain_add(chain.get(), llama_sampler_init_temp(t.temp));
  llama_sampler_chain_add(chain.get(), llama_sampler_init_dist(1));
  std::vector<llama_token_data> data;
  for (size_t i = 0; i < logits.size(); ++i) {
    data.push_back({static_cast<llama_token>(i), logits[i], 0});
  }
  llama_token_data_array array = {data.data(), data.size(), -1, false};
  llama_sampler_apply(chain.get(), &array);
  std::vector<Choice> choices;
  for (size_t i = 0; i < array.size; ++i) choices.push_back({array.data[i].id, array.data[i].p});
  return by_token(choices);
}

// libllama adds probabilities up in F32: where the exact sum comes to top_p within n_vocab
// roundings of 2^-24, it may stop one token earlier or later.
bool differs_by_rounding(const Truncation& t, const std::vector<float>& logits, size_t n_ours,
                         size_t n_theirs) {
  auto sorted = logits;
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  if (t.top_k > 0) sorted.resize(std::min<size_t>(t.top_k, sorted.size()));
  double total = 0;
  for (const float logit : sorted) total += std::exp(static_cast<double>(logit));
  double sum = 0;
  for (size_t i = 0; i < std::min(n_ours, n_theirs); ++i) {
    sum += std::exp(static_cast<double>(sorted[i])) / total;
  }
  return std::max(n_ours, n_theirs) == std::min(n_ours, n_theirs) + 1 &&
         std::abs(sum - t.top_p) < static_cast<double>(logits.size()) * 0x1p-24;
}

TEST(Candidates, EqualsTheChainOfLibllama) {
  const Truncation truncations[] = {{1, 40, 1, 0},          {0.7F, 40, 0.95F, 0.05F},
                                    {1.5F, 128, 0.9F, 0},   {1, 129, 1, 0.01F},
                                    {0.8F, 1000, 0.8F, 0},  {1, 0, 1, 0},
                                    {1, 0, 0.95F, 0},       {2, 0, 1, 0.1F},
                                    {0.3F, 0, 0.5F, 0.02F}, {1, 5, 0, 0},
                                    {1, 7, 1, 1},           {1, 1, 1, 0},
                                    {1, 1'000'000, 0.9F, 0}};
  int n_rounded = 0;
  for (const Truncation& t : truncations) {
    for (uint32_t seed = 0; seed < 12; ++seed) {
      const auto logits = random_logits(seed, seed % 2 == 0 ? 5000 : 300, seed % 3 == 0 ? 1 : 4);
      const auto got = ours(t, logits);
      const auto want = theirs(t, logits);
      const std::string row = fmt::format("temp={} top_k={} top_p={} min_p={} seed={}", t.temp,
                                          t.top_k, t.top_p, t.min_p, seed);
      if (got.size() != want.size()) {
        EXPECT_TRUE(differs_by_rounding(t, logits, got.size(), want.size())) << row;
        ++n_rounded;
        continue;
      }
      for (size_t i = 0; i < got.size(); ++i) {
        ASSERT_EQ(got[i].token, want[i].token) << row;
        // libllama divides and exponentiates in F32: 4 roundings of an exponent below 64, 2^-24
        // each, make a relative error below 2^-16.
        ASSERT_NEAR(got[i].p, want[i].p, want[i].p * 0x1p-16 + 1e-30) << row;
      }
    }
  }
  EXPECT_LE(n_rounded, 3);  // of 156
}

TEST(Candidates, TakesTheFirstOfEqualBestWhenGreedy) {
  Candidates candidates({}, 5);
  const auto kept = candidates.select(std::vector<float>{1, 3, -2, 3, 0});
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_EQ(kept[0].token, 1);
  EXPECT_EQ(kept[0].weight, 1);
}

TEST(Candidates, OrdersEqualLogitsByToken) {
  Candidates candidates({1, 3, 1, 0}, 6);
  const std::vector<float> logits = {0, 7, 7, 9, 7, 7};
  std::vector<int32_t> tokens;
  for (const Candidate& c : candidates.select(logits)) tokens.push_back(c.token);
  EXPECT_EQ(tokens, (std::vector<int32_t>{3, 1, 2}));
  Candidates nucleus({1, 0, 0.95F, 0}, 6);
  tokens.clear();
  for (const Candidate& c : nucleus.select(logits)) tokens.push_back(c.token);
  EXPECT_EQ(tokens, (std::vector<int32_t>{3, 1, 2, 4, 5}));  // token 0 has 1e-4
}

TEST(Candidates, GivesTheBestInOrder) {
  const auto logits = random_logits(3, 1000, 2);
  std::vector<int32_t> order(logits.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
  std::sort(order.begin(), order.end(), [&](int a, int b) { return logits[a] > logits[b]; });
  Candidates candidates({}, 1000);
  for (const int32_t k : {1, 2, 100, 128}) {
    const auto best = candidates.best(logits, k);
    ASSERT_EQ(best.size(), static_cast<size_t>(k));
    for (int32_t i = 0; i < k; ++i) ASSERT_EQ(best[i].token, order[i]);
  }
}

TEST(Candidates, NeverTakesAForbiddenToken) {
  const std::vector<float> logits = {-kInf, 1, -kInf, 0};
  for (const int32_t top_k : {0, 3}) {
    for (const float top_p : {0.999F, 1.0F}) {
      Candidates candidates({1, top_k, top_p, 0}, 4);
      const auto kept = candidates.select(logits);
      ASSERT_EQ(kept.size(), 2U);
      EXPECT_EQ(kept[0].token, 1);
      EXPECT_EQ(kept[1].token, 3);
    }
  }
}

TEST(Candidates, SurvivesExtremeNumbers) {
  const std::vector<float> logits = {3e38F, -3e38F, 1, 3e38F};
  for (const float temp : {1e-45F, 1e-30F, 1.0F, 100.0F}) {
    for (const int32_t top_k : {0, 4, 2}) {
      Candidates candidates({temp, top_k, 0.9F, 0}, 4);
      const auto kept = candidates.select(logits);
      ASSERT_EQ(kept.size(), 2U);
      for (const Candidate& c : kept) EXPECT_EQ(c.weight, 1);
    }
  }
}

TEST(Candidates, RefusesBrokenLogitsWhereverTheyStand) {
  for (const Truncation& t : {Truncation{}, {1, 2, 0.9F, 0.1F}, {1, 0, 0.9F, 0}, {1, 0, 1, 0}}) {
    Candidates candidates(t, 9);
    for (const float bad : {kInf, std::numeric_limits<float>::quiet_NaN()}) {
      for (size_t at = 0; at < 9; ++at) {
        std::vector<float> logits = {9, 8, 7, 6, 5, 4, 3, 2, 1};
        logits[at] = bad;
        EXPECT_THROW(candidates.select(logits), Error) << bad << " at " << at;
      }
    }
    EXPECT_THROW(candidates.select(std::vector<float>(9, -kInf)), Error);
  }
}

}  // namespace
}  // namespace reprise
