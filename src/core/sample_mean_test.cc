#include "core/sample_mean.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/error.h"

namespace reprise {
namespace {

TEST(SampleMean, IsThatOfTheTextbook) {
  const SampleMean mean = sample_mean(std::vector<double>{1, 2, 3, 6});
  EXPECT_DOUBLE_EQ(mean.mean, 3);
  EXPECT_DOUBLE_EQ(mean.standard_error, std::sqrt(14.0 / 3 / 4));
}

TEST(SampleMean, HasNoErrorOfFewerThanTwo) {
  EXPECT_EQ(sample_mean({}).mean, 0);
  EXPECT_EQ(sample_mean(std::vector<double>{5}).mean, 5);
  EXPECT_EQ(sample_mean(std::vector<double>{5}).standard_error, 0);
}

TEST(PairedDifference, DropsWhatPairsShare) {
  const std::vector<double> a = {11, 101, 1001};
  const std::vector<double> b = {10, 100, 1000};
  EXPECT_EQ(paired_difference(a, b).mean, 1);
  EXPECT_EQ(paired_difference(a, b).standard_error, 0);
  EXPECT_THROW(paired_difference(a, std::vector<double>{1}), Error);
}

}  // namespace
}  // namespace reprise
