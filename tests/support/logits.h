#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <span>
#include <vector>

namespace reprise::test {

// The larger of two errors; NaN where one is NaN, which is below no bound (std::max may lose it).
inline float larger(float a, float b) { return std::isnan(b) || b > a ? b : a; }

// The largest of |a[i] - b[i]|; NaN where there is one.
inline float max_difference(std::span<const float> a, std::span<const float> b) {
  EXPECT_EQ(a.size(), b.size());
  if (a.size() != b.size()) return NAN;
  float max = 0;
  for (size_t i = 0; i < a.size(); ++i) max = larger(max, std::abs(a[i] - b[i]));
  return max;
}

// Logits are a view of what the next pass overwrites.
inline std::vector<float> copy(std::span<const float> values) {
  return {values.begin(), values.end()};
}

}  // namespace reprise::test
