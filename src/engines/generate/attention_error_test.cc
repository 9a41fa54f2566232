#include "engines/generate/attention_error.h"

#include <gtest/gtest.h>

#include <vector>

#include "core/error.h"

namespace reprise {
namespace {

// Two tokens, two layers, two values each; every error is a fraction that float holds.
TEST(AttentionError, IsTheRelativeNormOfTheDifferenceInEachLayer) {
  const std::vector<float> full = {3, 4, 0, 2, 0, 1, 4, 0};
  const std::vector<float> policy = {3, 4, 0, 1, 0, 2, 4, 3};
  AttentionError error;
  error.add(full, policy, 2, 2);
  ASSERT_EQ(error.layers().size(), 2U);
  EXPECT_EQ(error.layers()[0].n(), 2);
  EXPECT_EQ(error.layers()[0].value(), (0.0 + 1.0) / 2);   // 0 / 5 and 1 / 1
  EXPECT_EQ(error.layers()[1].value(), (0.5 + 0.75) / 2);  // 1 / 2 and 3 / 4
  error.add(std::span(full).first(4), std::span(full).first(4), 2, 1);
  EXPECT_EQ(error.layers()[0].n(), 3);
  EXPECT_EQ(error.layers()[1].value(), (0.5 + 0.75) / 3);
}

TEST(AttentionError, LeavesOutWhatHasNoScale) {
  AttentionError error;
  error.add(std::vector<float>{0, 0, 1, 1}, std::vector<float>{1, 0, 1, 1}, 2, 1);
  EXPECT_EQ(error.layers()[0].n(), 0);
  EXPECT_EQ(error.layers()[1].n(), 1);
}

TEST(AttentionError, RefusesWhatDoesNotFit) {
  AttentionError error;
  const std::vector<float> six(6);
  EXPECT_THROW(error.add(six, std::span(six).first(4), 2, 1), Error);
  EXPECT_THROW(error.add(six, six, 4, 1), Error);
  EXPECT_THROW(error.add(six, six, 2, 0), Error);
}

}  // namespace
}  // namespace reprise
