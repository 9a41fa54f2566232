#include "core/logprobs.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "core/error.h"

namespace reprise {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

TEST(Logprobs, MatchesHandComputedValues) {
  // exp of them: 1, 2, 4, 1; their sum is 8. Shifted far up, where exp itself would overflow.
  for (const float shift : {0.0F, 1000.0F, -1000.0F}) {
    std::vector<float> logits = {0, std::log(2.0F), std::log(4.0F), 0};
    for (float& logit : logits) logit += shift;
    TokenLogprob top[4];
    // At 1000 an F32 logit is exact to 2^-14.
    const float tolerance = shift == 0 ? 1e-6F : 7e-5F;
    EXPECT_NEAR(log_probabilities(logits, 1, top), std::log(0.25F), tolerance);
    const int32_t order[] = {2, 1, 0, 3};
    const float p[] = {0.5F, 0.25F, 0.125F, 0.125F};
    for (int i = 0; i < 4; ++i) {
      EXPECT_EQ(top[i].token, order[i]);
      EXPECT_NEAR(top[i].logprob, std::log(p[i]), tolerance);
    }
  }
}

TEST(Logprobs, EqualsASortInF64) {
  for (uint32_t seed = 0; seed < 50; ++seed) {
    std::mt19937 rng(seed);
    std::normal_distribution<float> normal(0, 4);
    std::vector<float> logits(1 + rng() % 3000);
    for (float& logit : logits) logit = std::round(8 * normal(rng)) / 8;  // many equal ones
    std::vector<int32_t> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
    double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
    std::vector<TokenLogprob> top(std::min<size_t>(rng() % 21, logits.size()));
    const auto token = static_cast<int32_t>(rng() % logits.size());
    // One F32 rounding of exp, of the sum's shift and of the result: 4 ulp of values below 64.
    EXPECT_NEAR(log_probabilities(logits, token, top), logits[token] - std::log(sum), 2e-5);
    for (size_t i = 0; i < top.size(); ++i) {
      EXPECT_EQ(top[i].token, order[i]) << "seed " << seed;
      EXPECT_NEAR(top[i].logprob, logits[order[i]] - std::log(sum), 2e-5) << "seed " << seed;
    }
  }
}

TEST(Logprobs, KeepsForbiddenTokensAtMinusInfinity) {
  const std::vector<float> logits = {-kInf, 3, -kInf};
  TokenLogprob top[2];
  EXPECT_EQ(log_probabilities(logits, 0, top), -kInf);
  EXPECT_EQ(top[0].token, 1);
  EXPECT_EQ(top[0].logprob, 0);
  EXPECT_EQ(top[1].logprob, -kInf);
}

TEST(Logprobs, RefusesBadInput) {
  const std::vector<float> logits = {1, 2};
  TokenLogprob top[3];
  EXPECT_THROW(log_probabilities(logits, -1, {}), Error);
  EXPECT_THROW(log_probabilities(logits, 2, {}), Error);
  EXPECT_THROW(log_probabilities(logits, 0, top), Error);
  EXPECT_THROW(log_probabilities({}, 0, {}), Error);
  for (const std::vector<float>& bad :
       {std::vector<float>{1, NAN}, {NAN, 1}, {kInf, 1}, {-kInf, -kInf}}) {
    EXPECT_THROW(log_probabilities(bad, 0, {}), Error);
  }
}

}  // namespace
}  // namespace reprise
