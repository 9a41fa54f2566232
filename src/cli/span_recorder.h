#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "core/ledger.h"
#include "core/op_trace.h"

namespace reprise {

// Records one span after the other for --ledger trace=FILE: each ends now and begins where the last
// one ended.
class SpanRecorder {
 public:
  void add(const std::string& category, const std::string& name) {
    add(category, name, now() - last_s_);
  }
  // The same for work that is known to have taken `duration_s`.
  void add(const std::string& category, const std::string& name, double duration_s) {
    spans_.push_back({name, category, last_s_, duration_s});
    last_s_ += duration_s;
  }
  // What compute threads did in the nodes of graphs, beside the spans of the run.
  void add(const OpTrace& trace) {
    const double offset_s = std::chrono::duration<double>(trace.start() - start_).count();
    for (const OpSpan& span : trace.spans()) {
      spans_.push_back({span.name, "thread", span.start_s + offset_s, span.duration_s,
                        span.i_thread + 1, span.wait_s});
    }
  }
  std::vector<LedgerSpan> take() { return std::move(spans_); }

 private:
  double now() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  double last_s_ = 0;
  std::vector<LedgerSpan> spans_;
};

}  // namespace reprise
