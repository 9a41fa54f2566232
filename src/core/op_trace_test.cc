#include "core/op_trace.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace reprise {
namespace {

using std::chrono::milliseconds;

TEST(OpTrace, GivesSpansInTheOrderOfTheirStart) {
  OpTrace trace(2, 10);
  const auto at = [&](int ms) { return trace.start() + milliseconds(ms); };
  trace.add(0, "a", at(1), at(3), 0.0005);
  trace.add(0, "b", at(10), at(11), 0);
  trace.add(1, "c", at(2), at(8), 0);
  trace.add(1, "d", at(10), at(14), 0.004);
  const std::vector<OpSpan> spans = trace.spans();
  ASSERT_EQ(spans.size(), 4U);
  std::string names;
  for (const OpSpan& span : spans) names += span.name;
  EXPECT_EQ(names, "acbd");  // of two that start together the lower thread's first
  EXPECT_EQ(spans[0].i_thread, 0);
  EXPECT_EQ(spans[1].i_thread, 1);
  EXPECT_DOUBLE_EQ(spans[1].start_s, 0.002);
  EXPECT_DOUBLE_EQ(spans[1].duration_s, 0.006);
  EXPECT_DOUBLE_EQ(spans[0].wait_s, 0.0005);
  EXPECT_DOUBLE_EQ(trace.busy_s(), 0.0015 + 0.001 + 0.006 + 0);
  EXPECT_EQ(trace.n_threads(), 2);
}

TEST(OpTrace, CountsSpansThatItNoLongerKeeps) {
  OpTrace trace(2, 3);
  for (int32_t i = 0; i < 5; ++i)
    trace.add(1, "a", trace.start() + milliseconds(i), trace.start() + milliseconds(i + 1), 0);
  EXPECT_EQ(trace.spans().size(), 3U);
  EXPECT_DOUBLE_EQ(trace.busy_s(), 0.005);
}

TEST(OpTrace, IsEmptyAtItsStart) {
  const OpTrace trace(3, 10);
  EXPECT_TRUE(trace.spans().empty());
  EXPECT_EQ(trace.busy_s(), 0);
}

TEST(OpTimer, AddsASpanWithItsWaitsAtItsEnd) {
  OpTrace trace(2, 10);
  {
    ThreadBarrier barrier;
    OpTimer timer(&trace, 1, "node");
    timer.wait(barrier, 1);
    timer.wait(barrier, 1);
    EXPECT_TRUE(trace.spans().empty());
  }
  const std::vector<OpSpan> spans = trace.spans();
  ASSERT_EQ(spans.size(), 1U);
  EXPECT_STREQ(spans[0].name, "node");
  EXPECT_EQ(spans[0].i_thread, 1);
  EXPECT_GE(spans[0].start_s, 0);
  EXPECT_GE(spans[0].wait_s, 0);
  EXPECT_LE(spans[0].wait_s, spans[0].duration_s);
}

TEST(OpTimer, CountsTheTimeUntilTheOtherThreadComes) {
  OpTrace trace(2, 10);
  ThreadBarrier barrier;
  std::thread other([&] {
    OpTimer untraced(nullptr, 1, "node");
    std::this_thread::sleep_for(milliseconds(5));
    untraced.wait(barrier, 2);
  });
  {
    OpTimer timer(&trace, 0, "node");
    timer.wait(barrier, 2);
  }
  other.join();
  ASSERT_EQ(trace.spans().size(), 1U);
  EXPECT_GT(trace.spans()[0].wait_s, 0);
  EXPECT_LT(trace.busy_s(), trace.spans()[0].duration_s);
}

TEST(OpTrace, ThreadsWriteAtTheSameTime) {
  constexpr int32_t kThreads = 4;
  constexpr int32_t kSpans = 200;
  OpTrace trace(kThreads, kSpans);
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int32_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&trace, i] {
      for (int32_t k = 0; k < kSpans; ++k) const OpTimer timer(&trace, i, "node");
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::vector<OpSpan> spans = trace.spans();
  EXPECT_EQ(spans.size(), static_cast<size_t>(kThreads * kSpans));
  for (size_t i = 1; i < spans.size(); ++i) EXPECT_LE(spans[i - 1].start_s, spans[i].start_s);
}

}  // namespace
}  // namespace reprise
