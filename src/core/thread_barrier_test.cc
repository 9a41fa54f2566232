#include "core/thread_barrier.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace reprise {
namespace {

// Every thread counts rounds in a place of its own, without atomics: behind the barrier it must see
// what the others have written (the thread sanitizer asks too), and nobody may be a round ahead.
void expect_rounds(int32_t n_threads, int32_t n_rounds) {
  ThreadBarrier barrier;
  std::vector<int32_t> rounds(n_threads);
  std::vector<int32_t> n_wrong(n_threads);
  const auto work = [&](int32_t i_thread) {
    for (int32_t round = 1; round <= n_rounds; ++round) {
      rounds[i_thread] = round;
      barrier.wait(n_threads);
      for (const int32_t seen : rounds) n_wrong[i_thread] += seen != round ? 1 : 0;
      barrier.wait(n_threads);
    }
  };
  std::vector<std::thread> threads;
  for (int32_t i = 1; i < n_threads; ++i) threads.emplace_back(work, i);
  work(0);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(n_wrong, std::vector<int32_t>(n_threads)) << n_threads << " threads";
}

TEST(ThreadBarrier, HoldsEveryThreadUntilTheLast) {
  for (int32_t n_threads = 1; n_threads <= 8; ++n_threads) expect_rounds(n_threads, 200);
}

TEST(ThreadBarrier, HoldsMoreThreadsThanAnyMachineOfTestsHasCores) { expect_rounds(64, 10); }

}  // namespace
}  // namespace reprise
