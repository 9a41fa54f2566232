#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/ledger.h"

namespace reprise {

// Of several durations in seconds, by nearest rank. Zeros where there are none.
struct LatencySummary {
  int64_t n = 0;
  double p50_s = 0;
  double p95_s = 0;
  double max_s = 0;
};
LatencySummary latency_summary(std::span<const double> seconds);

// What a control loop did, over all its episodes.
struct ControlReport {
  // From each tick's deadline to its action. A plan that the robot waits for (ControlMode::kSync)
  // shifts the deadline.
  std::vector<double> tick_s;
  std::vector<double> chunk_s;  // what each plan took
  int64_t n_misses = 0;         // ticks whose action came more than kMissS after the deadline
  int64_t n_underruns = 0;      // ticks without a planned action: the last one was held
  int64_t n_over_budget = 0;    // chunks of which every action came too late
  int64_t n_stale = 0;          // planned actions dropped because they came too late
  double elapsed_s = 0;         // by the loop's clock, from each episode's start to its end
  bool is_simulated = false;    // that clock's time, and with it all rates
  bool has_realtime_priority = false;  // the ticks' thread ran before all ordinary ones

  static constexpr double kMissS = 0.01;

  int64_t n_ticks() const { return static_cast<int64_t>(tick_s.size()); }
  int64_t n_chunks() const { return static_cast<int64_t>(chunk_s.size()); }
  // The effective control rate: planned actions a second. A held action is none.
  double actions_per_s() const;
  // Plans that the loop received a second.
  double chunks_per_s() const;
};

// Units and facts of the report, for the record of the whole run: an "action" was computed, reused
// (held), or dropped (stale). Rates name what they count: chunks a second are not actions a second.
void add_to_ledger(const ControlReport& report, Ledger& ledger);

}  // namespace reprise
