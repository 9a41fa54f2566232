#include "core/binomial.h"

#include <gtest/gtest.h>

#include <tuple>

#include "core/error.h"

namespace reprise {
namespace {

// Bounds computed in double precision from the formula; 81 of 263 is the example of Newcombe,
// Statistics in Medicine 17, 1998, who prints 0.2553 and 0.3662.
TEST(Wilson, GivesKnownIntervals) {
  const std::tuple<int64_t, int64_t, double, double> cases[] = {
      {81, 263, 0.2552885198782742, 0.36620957698280004},
      {0, 10, 0, 0.2775327998628892},
      {10, 10, 0.7224672001371107, 1},
      {1, 1, 0.20654931437723745, 1},
      {50, 100, 0.4038315303659956, 0.5961684696340044},
      {0, 0, 0, 1}};
  for (const auto& [n_right, n, low, high] : cases) {
    const Interval interval = wilson_interval(n_right, n);
    EXPECT_NEAR(interval.low, low, 1e-14) << n_right << " of " << n;
    EXPECT_NEAR(interval.high, high, 1e-14) << n_right << " of " << n;
  }
}

TEST(Wilson, HoldsTheShareAndNarrows) {
  for (const int64_t n : {1, 7, 40, 1000, 1000000}) {
    for (const int64_t n_right : {int64_t{0}, n / 3, n / 2, n}) {
      const Interval interval = wilson_interval(n_right, n);
      const double share = static_cast<double>(n_right) / static_cast<double>(n);
      EXPECT_LE(interval.low, share);
      EXPECT_GE(interval.high, share);
      EXPECT_GE(interval.low, 0);
      EXPECT_LE(interval.high, 1);
      const Interval finer = wilson_interval(4 * n_right, 4 * n);
      EXPECT_LT(finer.high - finer.low, interval.high - interval.low);
    }
  }
}

// Sums of binomial coefficients over 2^n, computed with whole numbers.
TEST(McNemar, GivesKnownProbabilities) {
  const std::tuple<int64_t, int64_t, double> cases[] = {{0, 0, 1},
                                                        {1, 0, 1},
                                                        {3, 3, 1},
                                                        {0, 5, 0.0625},
                                                        {1, 7, 0.0703125},
                                                        {6, 16, 0.052478790283203125},
                                                        {121, 59, 4.434449263755176e-06},
                                                        {40, 60, 0.05688793364098079}};
  for (const auto& [a, b, p] : cases) {
    // lgamma of numbers near 180! has an absolute error of a few 1e-13.
    EXPECT_NEAR(mcnemar_p(a, b), p, 1e-11 * p) << a << " " << b;
    EXPECT_EQ(mcnemar_p(a, b), mcnemar_p(b, a));
  }
  EXPECT_GE(mcnemar_p(0, 100000), 0);
}

TEST(Binomial, RefusesImpossibleCounts) {
  EXPECT_THROW(wilson_interval(-1, 5), Error);
  EXPECT_THROW(wilson_interval(6, 5), Error);
  EXPECT_THROW(mcnemar_p(-1, 5), Error);
}

}  // namespace
}  // namespace reprise
