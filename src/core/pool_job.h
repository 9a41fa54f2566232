#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>

#include "core/backend.h"

namespace reprise {

// i_thread counts from 0 to n_threads - 1; thread 0 is the caller's.
using PoolJob = std::function<void(int32_t i_thread, int32_t n_threads)>;

// Runs jobs on the threads of a backend's pool, one after the other, and allocates nothing for them
// once it stands.
class PoolRunner {
 public:
  // Throws Error when the backend, which must outlive this object, is no CPU.
  explicit PoolRunner(const Backend& backend);

  // Runs the job once on every thread at the same time and returns when all have ended. What a job
  // throws comes out here, of the first thread that threw; the others run to their end. A job in
  // which threads wait for each other must therefore not throw before the last wait.
  void run(const PoolJob& job);

 private:
  static void work(ggml_tensor* dst, int ith, int nth, void* runner);

  GraphArena arena_;
  const PoolJob* job_ = nullptr;  // that runs
  std::mutex mutex_;              // of thrown_
  std::exception_ptr thrown_;
};

// A single job.
void run_on_pool(const Backend& backend, const PoolJob& job);

}  // namespace reprise
