#include "core/part_ranges.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>
#include <vector>

namespace reprise {
namespace {

// Parts in the order in which one thread takes them while no other works.
std::vector<int32_t> taken_alone(PartRanges& ranges, int32_t i_thread, int32_t n_parts) {
  std::vector<int32_t> parts;
  for (int32_t i; (i = ranges.take(i_thread, n_parts)) < n_parts;) parts.push_back(i);
  return parts;
}

TEST(PartRanges, EveryThreadHasARunAndThenThoseOfOthers) {
  std::vector<PartRanges::Cursor> cursors(3);
  PartRanges ranges(cursors.data(), 3);
  EXPECT_EQ(ranges.take(1, 7), 2);
  EXPECT_EQ(ranges.take(0, 7), 0);
  EXPECT_EQ(taken_alone(ranges, 2, 7), (std::vector<int32_t>{4, 5, 6, 1, 3}));
  EXPECT_EQ(ranges.take(0, 7), 7);
  ranges.restart();
  EXPECT_EQ(taken_alone(ranges, 0, 7), (std::vector<int32_t>{0, 1, 2, 3, 4, 5, 6}));
}

TEST(PartRanges, MoreThreadsThanPartsFindThemAll) {
  std::vector<PartRanges::Cursor> cursors(5);
  PartRanges ranges(cursors.data(), 5);
  for (int32_t i_thread = 0; i_thread < 5; ++i_thread) {
    ranges.restart();
    std::vector<int32_t> parts = taken_alone(ranges, i_thread, 2);
    std::sort(parts.begin(), parts.end());
    EXPECT_EQ(parts, (std::vector<int32_t>{0, 1}));
  }
}

TEST(PartRanges, ThreadsShareNoPart) {
  constexpr int32_t kParts = 100'000;
  constexpr int32_t kThreads = 4;
  std::vector<PartRanges::Cursor> cursors(kThreads);
  PartRanges ranges(cursors.data(), kThreads);
  std::vector<int32_t> taken(kParts);
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int32_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int32_t i; (i = ranges.take(t, kParts)) < kParts;) ++taken[i];
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(taken, std::vector<int32_t>(kParts, 1));
}

}  // namespace
}  // namespace reprise
