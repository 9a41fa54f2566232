#include "core/row_cursor.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace reprise {
namespace {

TEST(RowCursor, RangesCoverEveryRowOnceInOrder) {
  for (const int32_t n_threads : {1, 2, 3, 5, 16, 512}) {
    for (const int64_t n_rows : {1, 15, 16, 17, 192, 576, 1535, 1536, 49152}) {
      RowCursor cursor;
      int64_t next = 0;
      while (true) {
        const RowRange range = cursor.take(n_rows, n_threads);
        if (range.n == 0) break;
        EXPECT_EQ(range.first, next);
        next += range.n;
        EXPECT_LE(range.n, RowCursor::kMost);
        if (next < n_rows) {
          EXPECT_EQ(range.n % RowCursor::kLeast, 0);
        }
      }
      EXPECT_EQ(next, n_rows) << n_threads << " threads";
      EXPECT_EQ(cursor.take(n_rows, n_threads).n, 0);
    }
  }
}

TEST(RowCursor, TheLastRangesAreShort) {
  RowCursor cursor;
  std::vector<int64_t> sizes;
  for (RowRange range; (range = cursor.take(1536, 2)).n > 0;) sizes.push_back(range.n);
  EXPECT_EQ(sizes.front(), 256);
  EXPECT_EQ(sizes.back(), 16);
  for (size_t i = 1; i < sizes.size(); ++i) EXPECT_LE(sizes[i], sizes[i - 1]);
}

TEST(RowCursor, ThreadsShareNoRow) {
  constexpr int64_t kRows = 100000;
  constexpr int32_t kThreads = 4;
  RowCursor cursor;
  std::vector<int32_t> taken(kRows);
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int32_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (RowRange range; (range = cursor.take(kRows, kThreads)).n > 0;)
        for (int64_t r = range.first; r < range.first + range.n; ++r) ++taken[r];
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(taken, std::vector<int32_t>(kRows, 1));
}

}  // namespace
}  // namespace reprise
