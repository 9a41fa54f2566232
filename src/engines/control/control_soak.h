#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "core/bench_report.h"
#include "engines/control/control_clock.h"

namespace reprise {

struct ControlSoakOptions {
  std::string model = "pusht-demo";  // path or name
  int32_t n_threads = 0;             // 0: all usable cores
  double seconds = 600;              // of each loop
  double slice_s = 20;               // until the next one's turn
  double rate_hz = 10;
};

struct ControlSoakEvents {
  IsCancelled is_cancelled = [] { return false; };
  // Seconds of control that are done, of all loops together.
  std::function<void(double seconds)> on_slice = {};
};

// Push-T by the machine's clock, planning while it acts, with three planners in turn: none (what
// the machine's own jitter is), everything computed, and BAC. How late ticks were, how long plans
// took, and what went wrong. A cancelled soak reports what was done: rows of the seconds that each
// loop was driven for, none of a loop that was not, and ratios of loops that can be compared.
// Throws Error.
BenchReport soak_control(const ControlSoakOptions& options, const ControlSoakEvents& events);

}  // namespace reprise
