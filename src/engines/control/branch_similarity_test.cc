#include "engines/control/branch_similarity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/error.h"
#include "support/random_branches.h"

namespace reprise {
namespace {

constexpr double kUnit = 0x1p-24;  // half a step of F32

BranchCalibration one_call(const std::vector<float>& features, int32_t n_steps, int32_t n_values) {
  BranchSimilarity similarity({.n_layers = 1, .n_steps = n_steps}, n_values, kBranchMetrics);
  for (int32_t b = 0; b < 3; ++b) similarity.add(b, features);
  return similarity.mean();
}

// |error| of a lane: one rounding of each term and 16 of sums, so 17 units of the sum of
// magnitudes; a difference is rounded once more, and counts twice in its square. The mean is
// rounded once to F32.
double bound(BranchMetric metric, double want) {
  // Norms as far off as the product again; a sum of products of magnitudes is 1 norm x norm.
  if (metric == BranchMetric::kCosine) return (17 + 17 + 1 + 1) * kUnit;
  return (17 + 2 + 1 + 1) * kUnit * want;
}

TEST(BranchSimilarity, EqualsThePlainComparison) {
  SplitMix64 rng(1);
  // Tails of lanes and of parts: 16 lanes, 256 values a part.
  for (const int32_t n_values : {1, 15, 16, 17, 255, 256, 257, 700}) {
    constexpr int32_t kSteps = 7;
    const std::vector<float> features = test::drifting_features(rng, kSteps, n_values);
    const BranchCalibration got = one_call(features, kSteps, n_values);
    double absolute = 0;
    for (int32_t i = 0; i < kSteps; ++i) {
      for (int32_t j = 0; j < kSteps; ++j) {
        for (const BranchMetric metric : kBranchMetrics) {
          const double want = test::compare_steps(metric, features, n_values, i, j);
          const std::vector<float>& values = got.similarity.at(metric);
          EXPECT_NEAR(values[i * kSteps + j], want, bound(metric, want))
              << to_string(metric) << " of " << n_values << " values, steps " << i << " " << j;
          EXPECT_EQ(values[i * kSteps + j], values[j * kSteps + i]);
          EXPECT_EQ(values[2 * kSteps * kSteps + i * kSteps + j], values[i * kSteps + j]);
        }
        if (i < j) absolute += test::compare_steps(BranchMetric::kL1, features, n_values, i, j);
      }
    }
    const double want = absolute / 21 / n_values;
    EXPECT_NEAR(got.volatility[1], want, bound(BranchMetric::kL1, want)) << n_values;
  }
}

TEST(BranchSimilarity, AveragesCalls) {
  const BranchShape shape{.n_layers = 1, .n_steps = 2};
  constexpr BranchMetric kAsked[] = {BranchMetric::kCosine, BranchMetric::kL2};
  BranchSimilarity similarity(shape, 2, kAsked);
  const std::vector<float> alike = {3, 4, 6, 8};
  const std::vector<float> across = {1, 0, 0, 1};
  for (int32_t b = 0; b < 3; ++b) {
    for (int32_t i = 0; i < 3; ++i) similarity.add(b, alike);
    similarity.add(b, across);
  }
  EXPECT_EQ(similarity.n_calls(), 4);
  EXPECT_EQ(similarity.n_zeroed(), 0);
  const BranchCalibration mean = similarity.mean();
  EXPECT_EQ(mean.shape, shape);
  ASSERT_EQ(mean.similarity.size(), 2U);  // what was asked for
  EXPECT_EQ(mean.similarity.at(BranchMetric::kCosine)[1], 0.75F);
  EXPECT_EQ(mean.similarity.at(BranchMetric::kCosine)[3], 1.0F);
  EXPECT_EQ(mean.similarity.at(BranchMetric::kL2)[2],
            static_cast<float>((3 * 5.0 + std::sqrt(2.0)) / 4));
  EXPECT_EQ(mean.volatility[0], (3 * 3.5 + 1.0) / 4);
}

TEST(BranchSimilarity, CountsOutputsThatSayNothingAsZeros) {
  const float nan = std::nanf("");
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {0.0F, nan, infinity, -infinity, 1e19F, 1e-30F}) {
    const std::vector<float> features = {1, 2, bad, 0, 2, 4};
    BranchSimilarity similarity({.n_layers = 1, .n_steps = 3}, 2, kBranchMetrics);
    for (int32_t b = 0; b < 3; ++b) similarity.add(b, features);
    EXPECT_EQ(similarity.n_zeroed(), 3) << bad;
    const BranchCalibration mean = similarity.mean();
    const std::vector<float>& cosine = mean.similarity.at(BranchMetric::kCosine);
    EXPECT_EQ(std::vector<float>(cosine.begin(), cosine.begin() + 9),
              (std::vector<float>{1, 0, 1, 0, 0, 0, 1, 0, 1}))
        << bad;
    EXPECT_EQ(mean.similarity.at(BranchMetric::kL1)[1], 3.0F) << bad;
    EXPECT_EQ(mean.similarity.at(BranchMetric::kMse)[5], 10.0F) << bad;
    EXPECT_EQ(mean.volatility[0], (3.0 + 3.0 + 6.0) / 3 / 2) << bad;
  }
}

// The largest outputs that count: no sum of theirs overflows.
TEST(BranchSimilarity, TakesLargeOutputs) {
  const BranchCalibration mean = one_call({3e18F, 0, -3e18F, 0}, 2, 2);
  EXPECT_EQ(mean.similarity.at(BranchMetric::kCosine)[1], -1.0F);
  EXPECT_FLOAT_EQ(mean.similarity.at(BranchMetric::kL2)[1], 6e18F);
  EXPECT_FLOAT_EQ(mean.similarity.at(BranchMetric::kMse)[1], 1.8e37F);
}

TEST(BranchSimilarity, TakesOneStep) {
  const BranchCalibration mean = one_call({1, 2}, 1, 2);
  EXPECT_EQ(mean.similarity.at(BranchMetric::kCosine)[0], 1.0F);
  EXPECT_EQ(mean.volatility[0], 0.0);
}

TEST(BranchSimilarity, RefusesWhatIsNoCall) {
  BranchSimilarity similarity({.n_layers = 1, .n_steps = 3}, 2, kBranchMetrics);
  const auto fault = [](auto act) -> std::string {
    try {
      act();
    } catch (const Error& e) {
      return e.what();
    }
    return "accepted";
  };
  EXPECT_EQ(fault([&] { similarity.add(1, std::vector<float>(12)); }),
            "calibration: cross attention of layer 0 gave 12 values in a call, not 3 steps x 2; "
            "one call of one robot is added at a time");
  EXPECT_EQ(fault([&] { similarity.mean(); }),
            "calibration: 0 calls of self attention of layer 0, 0 of self attention of layer 0; "
            "each branch needs as many, one at least");
  similarity.add(0, std::vector<float>(6, 1.0F));
  EXPECT_EQ(fault([&] { similarity.mean(); }),
            "calibration: 0 calls of cross attention of layer 0, 1 of self attention of layer 0; "
            "each branch needs as many, one at least");
  const auto make = [](BranchShape shape, int32_t n_values, std::vector<BranchMetric> metrics) {
    BranchSimilarity(shape, n_values, metrics);
  };
  EXPECT_THROW(make({0, 3}, 2, {BranchMetric::kL1}), Error);
  EXPECT_THROW(make({1, 0}, 2, {BranchMetric::kL1}), Error);
  EXPECT_THROW(make({1, 3}, 0, {BranchMetric::kL1}), Error);
  EXPECT_THROW(make({1, 3}, 2, {}), Error);
}

}  // namespace
}  // namespace reprise
