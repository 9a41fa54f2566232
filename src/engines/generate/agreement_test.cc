#include "engines/generate/agreement.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "core/error.h"

namespace reprise {
namespace {

constexpr double kFloatEps = std::numeric_limits<float>::epsilon();

// Logits of a distribution, shifted: softmax does not see the shift.
std::vector<float> logits(const std::vector<double>& shares, double shift) {
  std::vector<float> out;
  out.reserve(shares.size());
  for (const double share : shares) out.push_back(static_cast<float>(std::log(share) + shift));
  return out;
}

TEST(Mean, HasValueAndStandardError) {
  Mean mean;
  EXPECT_EQ(mean.value(), 0);
  EXPECT_EQ(mean.error(), 0);
  mean.add(3);
  EXPECT_EQ(mean.value(), 3);
  EXPECT_EQ(mean.error(), 0);
  for (const double x : {1.0, 2.0, 6.0}) mean.add(x);
  EXPECT_EQ(mean.n(), 4);
  EXPECT_DOUBLE_EQ(mean.value(), 3);
  EXPECT_DOUBLE_EQ(mean.error(), std::sqrt(14.0 / 3 / 4));  // sample variance over n
}

TEST(KlDivergence, OfKnownDistributions) {
  const auto p = logits({0.5, 0.25, 0.25}, 3);
  const auto q = logits({0.25, 0.25, 0.5}, -7);
  // 0.5 ln 2 + 0.25 ln(1/2) = 0.25 ln 2; logits near 8 are rounded to F32.
  EXPECT_NEAR(kl_divergence(p, q), 0.25 * std::log(2.0), 3 * 8 * kFloatEps);
  EXPECT_NEAR(kl_divergence(logits({0.9, 0.1}, 0), logits({0.5, 0.5}, 0)),
              0.9 * std::log(1.8) + 0.1 * std::log(0.2), 6 * kFloatEps);
}

TEST(KlDivergence, IsZeroForEqualRowsAndNeverNegative) {
  const auto p = logits({0.7, 0.2, 0.1}, 11);
  EXPECT_EQ(kl_divergence(p, p), 0);
  std::vector<float> near = p;
  near[1] = std::nextafter(near[1], 0.0F);
  EXPECT_GE(kl_divergence(p, near), 0);
}

TEST(KlDivergence, TakesTokensThatCannotCome) {
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  EXPECT_NEAR(kl_divergence(std::vector<float>{0, kNever}, std::vector<float>{0, 0}), std::log(2.0),
              2 * kFloatEps);
  EXPECT_EQ(kl_divergence(std::vector<float>{0, 0}, std::vector<float>{0, kNever}),
            std::numeric_limits<double>::infinity());
}

TEST(KlDivergence, RefusesWhatIsNoDistribution) {
  const std::vector<float> good = {0, 1};
  EXPECT_THROW(kl_divergence(good, std::vector<float>{0}), Error);
  EXPECT_THROW(kl_divergence(good, std::vector<float>{0, std::nanf("")}), Error);
  EXPECT_THROW(kl_divergence(std::vector<float>{}, std::vector<float>{}), Error);
}

TEST(Agreement, CountsTokenByToken) {
  Agreement agreement;
  EXPECT_EQ(agreement.same_best(), 1);
  // The second token differs in its best; in the third both have two best, of which the first
  // counts.
  const std::vector<float> full = {0, 1, 5, 0, 2, 2};
  const std::vector<float> policy = {0, 3, 0, 5, 4, 4};
  agreement.add(full, policy, 2);
  EXPECT_EQ(agreement.kl.n(), 3);
  EXPECT_EQ(agreement.n_same_best, 2);
  EXPECT_DOUBLE_EQ(agreement.same_best(), 2.0 / 3);
  EXPECT_NEAR(agreement.kl.value(),
              (kl_divergence(std::vector<float>{0, 1}, std::vector<float>{0, 3}) +
               kl_divergence(std::vector<float>{5, 0}, std::vector<float>{0, 5})) /
                  3,
              1e-12);
  EXPECT_THROW(agreement.add(full, std::vector<float>{0, 1}, 2), Error);
  EXPECT_THROW(agreement.add(full, policy, 4), Error);
}

}  // namespace
}  // namespace reprise
