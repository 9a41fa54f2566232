#include "engines/infill/canvas.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"

namespace reprise {
namespace {

using ::testing::ElementsAre;

constexpr int32_t kMask = 9;
constexpr int32_t kEnd = 1;

TEST(Canvas, AnswerStandsBehindThePromptAndBeforeTheTail) {
  const std::vector<int32_t> prompt = {4, 5};
  const Canvas canvas = Canvas::answer(prompt, 3, 2, kMask, kEnd);
  EXPECT_THAT(canvas.ids, ElementsAre(4, 5, kMask, kMask, kMask, kEnd, kEnd));
  EXPECT_THAT(canvas.gaps, ElementsAre(Gap{2, 3}));
  EXPECT_TRUE(canvas.is_answer);
}

TEST(Canvas, GapsAreRunsOfTheMask) {
  const Canvas canvas = Canvas::with_gaps({kMask, 4, kMask, kMask, 5, kMask}, kMask);
  EXPECT_THAT(canvas.gaps, ElementsAre(Gap{0, 1}, Gap{2, 2}, Gap{5, 1}));
  EXPECT_FALSE(canvas.is_answer);
}

TEST(Canvas, RefusesAPromptThatHoldsTheMask) {
  const std::vector<int32_t> prompt = {4, kMask, 5};
  EXPECT_THROW(Canvas::answer(prompt, 3, 0, kMask, kEnd), Error);
}

TEST(Canvas, RefusesATextWithoutGaps) {
  EXPECT_THROW(Canvas::with_gaps({4, 5}, kMask), Error);
  EXPECT_THROW(Canvas::with_gaps({}, kMask), Error);
}

}  // namespace
}  // namespace reprise
