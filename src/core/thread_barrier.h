#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

namespace reprise {

// Where the threads of one graph node wait for each other. Waiting threads spin, for what they wait
// for takes microseconds, and let others run once it takes longer.
class ThreadBarrier {
 public:
  // Nobody may wait meanwhile.
  void restart() { n_arrived_.store(0, std::memory_order_relaxed); }
  // Returns once n_threads threads have called it as often as this one.
  void wait(int32_t n_threads) {
    const int32_t arrival = n_arrived_.fetch_add(1, std::memory_order_acq_rel);
    const int32_t all = (arrival / n_threads + 1) * n_threads;
    for (int32_t n_spins = 0; n_arrived_.load(std::memory_order_acquire) < all; ++n_spins) {
      if (n_spins < kSpins) {
        pause();
      } else {
        std::this_thread::yield();
      }
    }
  }

 private:
  static constexpr int32_t kSpins = 4096;  // some 100 microseconds

  static void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  std::atomic<int32_t> n_arrived_ = 0;
};

}  // namespace reprise
