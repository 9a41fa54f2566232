#include "policies/span/listed_spans.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"

namespace reprise {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<int32_t> lengths(const std::vector<SpanPlan>& spans) {
  std::vector<int32_t> out;
  out.reserve(spans.size());
  for (const SpanPlan& span : spans) out.push_back(span.n);
  return out;
}

TEST(ListedSpans, GivesTheListInOrder) {
  const std::vector<SpanPlan> listed = {
      {.n = 3, .reason = SpanReason::kDelimiter, .i_delimiter = 2, .confidence = 0.5F},
      {.n = 1, .reason = SpanReason::kNoDelimiter},
      {.n = 4, .reason = SpanReason::kFixed}};
  ListedSpanPlanner planner(listed);
  int32_t n_done = 0;
  for (int32_t i = 0; i < 3; ++i) {
    const SpanView view{.n_done = n_done, .n_left = 8 - n_done, .i_span = i};
    EXPECT_EQ(planner.reach(view), listed[i].n);
    const SpanPlan span = planner.plan(view);
    EXPECT_EQ(span.n, listed[i].n);
    EXPECT_EQ(span.reason, listed[i].reason);
    EXPECT_EQ(span.i_delimiter, listed[i].i_delimiter);
    EXPECT_EQ(span.confidence, listed[i].confidence);
    n_done += span.n;
  }
  EXPECT_EQ(n_done, 8);
}

TEST(ListedSpans, EarlierLengthsLeaveARest) {
  const std::pair<std::vector<int32_t>, int32_t> cases[] = {
      {{1}, 9}, {{10}, 0}, {{4, 6}, 0}, {{2, 3, 1}, 4}};
  for (const auto& [earlier, rest] : cases) {
    EXPECT_EQ(check_earlier_lengths("span/x", {.budget = 10, .earlier_lengths = earlier}), rest);
  }
}

TEST(ListedSpans, RefusesEarlierLengthsThatDoNotFit) {
  const std::pair<std::vector<int32_t>, const char*> cases[] = {
      {{}, "span/x: the 0 spans of the earlier run cover 0 positions, the budget is 10"},
      {{4, 7}, "span/x: the 2 spans of the earlier run cover 11 positions, the budget is 10"},
      {{4, 0}, "span/x: the 2 spans of the earlier run cover 4 positions and some are empty"},
      {{12, -3}, "cover 9 positions and some are empty"},
      {{INT32_MAX, INT32_MAX, 3}, "cover 4294967297 positions, the budget is 10"}};
  for (const auto& [earlier, message] : cases) {
    try {
      check_earlier_lengths("span/x", {.budget = 10, .earlier_lengths = earlier});
      ADD_FAILURE() << "accepted: " << message;
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), HasSubstr(message));
    }
  }
}

TEST(ListedSpans, TheRestComesInEqualSpansTheLastOneClipped) {
  std::vector<SpanPlan> spans = {{.n = 5}};
  append_rest(0, 4, spans);
  EXPECT_THAT(lengths(spans), ElementsAre(5));
  append_rest(9, 4, spans);
  EXPECT_THAT(lengths(spans), ElementsAre(5, 4, 4, 1));
  append_rest(4, 4, spans);
  EXPECT_THAT(lengths(spans), ElementsAre(5, 4, 4, 1, 4));
  for (size_t i = 1; i < spans.size(); ++i) {
    EXPECT_EQ(spans[i].reason, SpanReason::kNoDelimiter);
    EXPECT_EQ(spans[i].i_delimiter, -1);
  }
}

}  // namespace
}  // namespace reprise
