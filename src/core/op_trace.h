#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "core/thread_barrier.h"

namespace reprise {

// When one thread worked on one of our graph nodes. Times count from the start of the trace.
struct OpSpan {
  const char* name = "";  // of the node, a literal
  int32_t i_thread = 0;
  double start_s = 0;
  double duration_s = 0;
  double wait_s = 0;  // of it, in the node's own barriers
};

// What the threads of a pool do inside our graph nodes. Every thread writes to a list of its own;
// nobody reads while a graph is computed.
class OpTrace {
 public:
  using Clock = std::chrono::steady_clock;

  // Keeps at most n_spans_max spans a thread; later ones count in busy_s() only.
  OpTrace(int32_t n_threads, size_t n_spans_max);

  Clock::time_point start() const { return start_; }
  // Called by thread i_thread alone.
  void add(int32_t i_thread, const char* name, Clock::time_point from, Clock::time_point to,
           double wait_s);

  // Of all threads, in the order of their start.
  std::vector<OpSpan> spans() const;
  // Time that all threads together spent in our nodes, waits in them left out.
  double busy_s() const;
  int32_t n_threads() const { return static_cast<int32_t>(threads_.size()); }

 private:
  struct alignas(64) Thread {
    double busy_s = 0;
    std::vector<OpSpan> spans;
  };

  size_t n_spans_max_;
  Clock::time_point start_ = Clock::now();
  std::vector<Thread> threads_;
};

// One thread's work on one node, until its end. Costs nothing but a test without a trace.
class OpTimer {
 public:
  OpTimer(OpTrace* trace, int32_t i_thread, const char* name)
      : trace_(trace), i_thread_(i_thread), name_(name) {
    if (trace_ != nullptr) from_ = OpTrace::Clock::now();
  }
  ~OpTimer() {
    if (trace_ != nullptr) trace_->add(i_thread_, name_, from_, OpTrace::Clock::now(), wait_s_);
  }
  OpTimer(const OpTimer&) = delete;
  OpTimer& operator=(const OpTimer&) = delete;

  void wait(ThreadBarrier& barrier, int32_t n_threads) {
    if (trace_ == nullptr) {
      barrier.wait(n_threads);
      return;
    }
    const OpTrace::Clock::time_point start = OpTrace::Clock::now();
    barrier.wait(n_threads);
    wait_s_ += std::chrono::duration<double>(OpTrace::Clock::now() - start).count();
  }

 private:
  OpTrace* trace_;
  int32_t i_thread_;
  const char* name_;
  OpTrace::Clock::time_point from_;
  double wait_s_ = 0;
};

}  // namespace reprise
