#include "core/pool_job.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

#include "core/thread_barrier.h"

namespace reprise {
namespace {

TEST(PoolJob, RunsOnceOnEveryThread) {
  for (const int32_t n : {1, 2, 3}) {
    const Backend backend(n);
    std::vector<std::atomic<int32_t>> n_runs(n);
    run_on_pool(backend, [&](int32_t i_thread, int32_t n_threads) {
      EXPECT_EQ(n_threads, n);
      ++n_runs[i_thread];
    });
    for (const std::atomic<int32_t>& runs : n_runs) EXPECT_EQ(runs, 1);
  }
}

// Threads that wait for each other hang unless all run at the same time.
TEST(PoolJob, RunsThreadsAtTheSameTime) {
  const Backend backend(2);
  ThreadBarrier barrier;
  for (int i = 0; i < 100; ++i) {
    barrier.restart();
    run_on_pool(backend, [&](int32_t /*i*/, int32_t n_threads) { barrier.wait(n_threads); });
  }
}

TEST(PoolJob, CarriesWhatAJobThrows) {
  const Backend backend(2);
  PoolRunner runner(backend);
  std::atomic<int32_t> n_ended = 0;
  const auto job = [&](int32_t i_thread, int32_t /*n*/) {
    ++n_ended;
    if (i_thread == 1) throw std::runtime_error("thread 1");
  };
  EXPECT_THROW(runner.run(job), std::runtime_error);
  EXPECT_EQ(n_ended, 2);
  runner.run([](int32_t, int32_t) {});  // the next job does not see it
}

}  // namespace
}  // namespace reprise
