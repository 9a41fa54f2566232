#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace reprise {

// Parts of one graph node's work, a run of them for every thread, so that each reads its memory in
// order and may ask for it ahead. Who is done with its run goes on with those of others: a thread
// that the machine holds up holds up nobody else.
class PartRanges {
 public:
  // Of one thread; a cache line apart, for each thread counts in its own.
  struct alignas(std::max_align_t) Cursor {
    std::atomic<int32_t> n_taken = 0;
    std::byte apart[64 - sizeof(std::atomic<int32_t>)];
  };

  // cursors [n_threads] must outlive this object.
  PartRanges(Cursor* cursors, int32_t n_threads) : cursors_(cursors), n_threads_(n_threads) {}
  PartRanges() = default;

  void restart() {
    for (int32_t t = 0; t < n_threads_; ++t)
      cursors_[t].n_taken.store(0, std::memory_order_relaxed);
  }

  // The next part of n_parts for thread i_thread, or n_parts when none is left.
  int32_t take(int32_t i_thread, int32_t n_parts) {
    for (int32_t k = 0; k < n_threads_; ++k) {
      const int32_t t = (i_thread + k) % n_threads_;
      const int32_t first = begin(t, n_parts);
      const int32_t n = begin(t + 1, n_parts) - first;
      std::atomic<int32_t>& n_taken = cursors_[t].n_taken;
      if (n_taken.load(std::memory_order_relaxed) >= n) continue;
      const int32_t i = n_taken.fetch_add(1, std::memory_order_relaxed);
      if (i < n) return first + i;
    }
    return n_parts;
  }

 private:
  int32_t begin(int32_t i_thread, int32_t n_parts) const {
    return static_cast<int32_t>(int64_t{n_parts} * i_thread / n_threads_);
  }

  Cursor* cursors_ = nullptr;
  int32_t n_threads_ = 0;
};

}  // namespace reprise
