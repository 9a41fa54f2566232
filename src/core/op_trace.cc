#include "core/op_trace.h"

#include <algorithm>
#include <cassert>

namespace reprise {
namespace {

double seconds(OpTrace::Clock::duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace

OpTrace::OpTrace(int32_t n_threads, size_t n_spans_max)
    : n_spans_max_(n_spans_max), threads_(n_threads) {}

void OpTrace::add(int32_t i_thread, const char* name, Clock::time_point from, Clock::time_point to,
                  double wait_s) {
  assert(i_thread < n_threads());
  Thread& thread = threads_[i_thread];
  const double duration_s = seconds(to - from);
  thread.busy_s += duration_s - wait_s;
  if (thread.spans.size() < n_spans_max_)
    thread.spans.push_back({name, i_thread, seconds(from - start_), duration_s, wait_s});
}

std::vector<OpSpan> OpTrace::spans() const {
  std::vector<OpSpan> all;
  for (const Thread& thread : threads_)
    all.insert(all.end(), thread.spans.begin(), thread.spans.end());
  std::ranges::stable_sort(all, {}, &OpSpan::start_s);
  return all;
}

double OpTrace::busy_s() const {
  double sum = 0;
  for (const Thread& thread : threads_) sum += thread.busy_s;
  return sum;
}

}  // namespace reprise
