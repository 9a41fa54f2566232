#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace reprise {

struct RowRange {
  int64_t first = 0;
  int64_t n = 0;  // 0: nothing is left
};

// Hands the rows of a matrix to threads, from the first to the last: long ranges while much is
// left, for rows in a run are read fastest, and short ones at the end, so that no thread waits long
// for another. Source: guided self-scheduling, Polychronopoulos and Kuck, IEEE Trans. Computers
// C-36(12), 1987.
class RowCursor {
 public:
  static constexpr int64_t kLeast = 16;  // every range but the last has a multiple of it
  static constexpr int64_t kMost = 256;

  void restart() { next_.store(0, std::memory_order_relaxed); }

  RowRange take(int64_t n_rows, int32_t n_threads) {
    int64_t first = next_.load(std::memory_order_relaxed);
    while (first < n_rows) {
      const int64_t left = n_rows - first;
      const int64_t share = left / (int64_t{2} * n_threads) / kLeast * kLeast;
      const int64_t n = std::min(left, std::clamp(share, kLeast, kMost));
      if (next_.compare_exchange_weak(first, first + n, std::memory_order_relaxed))
        return {first, n};
    }
    return {};
  }

 private:
  std::atomic<int64_t> next_ = 0;
};

}  // namespace reprise
