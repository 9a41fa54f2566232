#include "core/kernels/row_proposal.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "core/kernels/attention_reference_test.h"
#include "core/kernels/simd_targets_test.h"

namespace reprise {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int32_t kLengths[] = {2, 3, 7, 8, 15, 16, 17, 33, 97, 512, 1000};

// In F64, straight from the definitions.
Proposal reference(const std::vector<float>& z, int32_t forbidden) {
  double max = -std::numeric_limits<double>::infinity();
  Proposal out;
  for (int32_t id = 0; id < static_cast<int32_t>(z.size()); ++id) {
    if (id == forbidden || z[id] <= max) continue;
    max = z[id];
    out.token = id;
  }
  double total = 0;
  double second = -std::numeric_limits<double>::infinity();
  for (int32_t id = 0; id < static_cast<int32_t>(z.size()); ++id) {
    if (id == forbidden) continue;
    total += std::exp(z[id] - max);
    if (id != out.token) second = std::max(second, static_cast<double>(z[id]));
  }
  double entropy = 0;
  for (int32_t id = 0; id < static_cast<int32_t>(z.size()); ++id) {
    if (id == forbidden) continue;
    const double p = std::exp(z[id] - max) / total;
    if (p > 0) entropy += p * std::log(p);
  }
  out.confidence = static_cast<float>(1 / total);
  out.margin = static_cast<float>((1 - std::exp(second - max)) / total);
  out.neg_entropy = static_cast<float>(entropy);
  return out;
}

TEST(RowProposal, EqualsF64OnEveryTarget) {
  for (const int32_t n : kLengths) {
    for (const float spread : {0.1F, 3.0F, 40.0F}) {
      std::mt19937 rng(n);
      const std::vector<float> z = random_values(n, spread, rng);
      for (const int32_t forbidden : {-1, 0, n / 2, n - 1}) {
        const Proposal want = reference(z, forbidden);
        // n terms, each with an exponential of a few units' error, summed in F32; an entropy adds
        // the error of each logit's distance, which `spread` bounds.
        const float error = (static_cast<float>(n) + 8) * std::numeric_limits<float>::epsilon();
        for_each_simd_target([&](const char* target) {
          const Proposal got = row_proposal(z.data(), n, {.forbidden = forbidden}, 0);
          EXPECT_EQ(got.token, want.token) << target << " n=" << n;
          EXPECT_NEAR(got.confidence, want.confidence, error) << target << " n=" << n;
          EXPECT_NEAR(got.margin, want.margin, 2 * error) << target << " n=" << n;
          EXPECT_NEAR(got.neg_entropy, want.neg_entropy, error * (2 * spread + 8))
              << target << " n=" << n;
        });
      }
    }
  }
}

TEST(RowProposal, TakesTheLowestOfEquals) {
  for (const int32_t n : kLengths) {
    const std::vector<float> z(n, 1.5F);
    for_each_simd_target([&](const char* target) {
      EXPECT_EQ(row_proposal(z.data(), n, {}, 0).token, 0) << target;
      EXPECT_EQ(row_proposal(z.data(), n, {.forbidden = 0}, 0).token, 1) << target;
      EXPECT_NEAR(row_proposal(z.data(), n, {}, 0).margin, 0, 1e-7) << target;
    });
  }
}

TEST(RowProposal, CarriesWhatIsNoNumber) {
  for (const float bad : {kNan, kInfinity}) {
    for (int32_t at = 0; at < 33; ++at) {
      std::vector<float> z(33, 0.25F);
      z[at] = bad;
      for_each_simd_target([&](const char* target) {
        EXPECT_TRUE(std::isnan(row_proposal(z.data(), 33, {}, 0).confidence)) << target << at;
      });
    }
  }
  // What is forbidden is not looked at.
  std::vector<float> z(33, 0.25F);
  z[7] = kNan;
  EXPECT_FALSE(std::isnan(row_proposal(z.data(), 33, {.forbidden = 7}, 0).confidence));
}

TEST(RowProposal, DrawsWithTheProbabilitiesOfTheTemperature) {
  const std::vector<float> z = {0.0F, 1.0F, 2.0F, 9.0F, -1.0F};
  constexpr int kDraws = 20000;
  for (const float temperature : {0.5F, 1.0F, 2.0F}) {
    std::vector<int> counts(z.size());
    for (int i = 0; i < kDraws; ++i) {
      const Proposal got =
          row_proposal(z.data(), 5, {.forbidden = 3, .temperature = temperature}, i);
      ++counts[got.token];
      // Judged by the clean logits whatever is drawn.
      const double total = 1 + std::exp(1.0) + std::exp(2.0) + std::exp(-1.0);
      ASSERT_NEAR(got.confidence, std::exp(z[got.token]) / total, 1e-6);
    }
    double total = 0;
    for (const int id : {0, 1, 2, 4}) total += std::exp(z[id] / temperature);
    for (const int id : {0, 1, 2, 4}) {
      const double p = std::exp(z[id] / temperature) / total;
      // Five standard errors.
      EXPECT_NEAR(counts[id], kDraws * p, 5 * std::sqrt(kDraws * p * (1 - p))) << id;
    }
    EXPECT_EQ(counts[3], 0);
  }
}

TEST(RowProposal, FiltersAndJudgesWhatIsLeft) {
  // Probabilities 0.5, 0.25, 0.125, 0.125.
  const std::vector<float> z = {std::log(0.5F), std::log(0.25F), std::log(0.125F),
                                std::log(0.125F)};
  ProposalRule rule{.is_judged_filtered = true, .top_k = 2};
  Proposal got = row_proposal(z.data(), 4, rule, 0);
  EXPECT_EQ(got.token, 0);
  EXPECT_NEAR(got.confidence, 2.0 / 3, 1e-6);
  EXPECT_NEAR(got.margin, 1.0 / 3, 1e-6);
  EXPECT_NEAR(got.neg_entropy, 2.0 / 3 * std::log(2.0 / 3) + 1.0 / 3 * std::log(1.0 / 3), 1e-6);
  // Those stay before which less than top_p is reached: 0.5 is below 0.6, 0.75 is not.
  rule = {.is_judged_filtered = true, .top_p = 0.6F};
  got = row_proposal(z.data(), 4, rule, 0);
  EXPECT_NEAR(got.confidence, 2.0 / 3, 1e-6);
  // At temperature 0.5 the odds of what is left are squared: 0.25 to 0.0625.
  rule = {.temperature = 0.5F, .is_judged_filtered = true, .top_k = 2};
  got = row_proposal(z.data(), 4, rule, 1);
  EXPECT_NEAR(got.confidence, got.token == 0 ? 0.8 : 0.2, 1e-6);
  EXPECT_NEAR(got.margin, 0.6, 1e-6);
}

}  // namespace
}  // namespace reprise
