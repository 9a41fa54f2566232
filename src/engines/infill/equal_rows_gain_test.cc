#include "engines/infill/equal_rows_gain.h"

#include <gtest/gtest.h>

namespace reprise {
namespace {

// n answers of which the first n_right are right, each of `rows` rows.
DllmResult result(int32_t n, int32_t n_right, int64_t rows) {
  DllmResult out;
  out.outcomes.resize(n);
  for (int32_t i = 0; i < n; ++i) {
    out.outcomes[i].verdict.is_right = i < n_right;
    out.outcomes[i].n_rows = rows;
  }
  return out;
}

double gain(const DllmResult& method, const std::vector<DllmResult>& fixed) {
  std::vector<const DllmResult*> pointers;
  pointers.reserve(fixed.size());
  for (const DllmResult& one : fixed) pointers.push_back(&one);
  return gain_at_equal_rows(method, pointers).gain;
}

TEST(GainAtEqualRows, ComparesWithWhatTheOthersReachAtAsManyRows) {
  const DllmResult method = result(100, 80, 1000);
  EXPECT_NEAR(gain(method, {result(100, 70, 1000)}), 0.1, 1e-12);
  // Halfway between two points.
  EXPECT_NEAR(gain(method, {result(100, 60, 500), result(100, 80, 1500)}), 0.1, 1e-12);
  // What is cheaper counts as it is.
  EXPECT_NEAR(gain(method, {result(100, 75, 200)}), 0.05, 1e-12);
  // What costs more than another and is worse counts for nothing.
  EXPECT_NEAR(gain(method, {result(100, 75, 200), result(100, 40, 900)}), 0.05, 1e-12);
  // What alone costs more counts as it is, in its own favour.
  EXPECT_NEAR(gain(method, {result(100, 90, 2000)}), -0.1, 1e-12);
}

TEST(GainAtEqualRows, IntervalHoldsTheGainAndIsNarrowForEqualAnswers) {
  const DllmResult a = result(100, 80, 1000);
  const DllmResult b = result(100, 70, 1000);
  const GainAtEqualRows g = gain_at_equal_rows(a, {&b});
  EXPECT_LT(g.low, g.gain);
  EXPECT_GT(g.high, g.gain);
  // Ten of a hundred pairs differ: the standard error is 0.03.
  EXPECT_NEAR(g.high - g.low, 4 * 0.03, 0.03);
  const GainAtEqualRows same = gain_at_equal_rows(a, {&a});
  EXPECT_EQ(same.low, 0);
  EXPECT_EQ(same.high, 0);
}

}  // namespace
}  // namespace reprise
