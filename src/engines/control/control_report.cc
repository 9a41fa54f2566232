#include "engines/control/control_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string_view>

#include "core/quantities.h"

namespace reprise {
namespace {

double rate(int64_t n, double s) { return s > 0 ? static_cast<double>(n) / s : 0; }

// `what` opens the line; empty: only JSON shows the numbers.
void add_latency(const std::string& key, std::string_view what, std::span<const double> seconds,
                 Ledger& ledger) {
  const LatencySummary latency = latency_summary(seconds);
  const std::string line =
      what.empty() ? ""
                   : fmt::format("{} p50 {}, p95 {}, max {}", what, format_seconds(latency.p50_s),
                                 format_seconds(latency.p95_s), format_seconds(latency.max_s));
  ledger.facts.push_back({key + "_p50_s", latency.p50_s, line});
  ledger.facts.push_back({key + "_p95_s", latency.p95_s, ""});
  ledger.facts.push_back({key + "_max_s", latency.max_s, ""});
}

}  // namespace

LatencySummary latency_summary(std::span<const double> seconds) {
  if (seconds.empty()) return {};
  std::vector<double> sorted(seconds.begin(), seconds.end());
  std::ranges::sort(sorted);
  const auto at = [&](double share) {
    const auto rank = std::ceil(share * static_cast<double>(sorted.size()));
    return sorted[std::max<size_t>(1, static_cast<size_t>(rank)) - 1];
  };
  return {std::ssize(sorted), at(0.5), at(0.95), sorted.back()};
}

double ControlReport::actions_per_s() const { return rate(n_ticks() - n_underruns, elapsed_s); }
double ControlReport::chunks_per_s() const { return rate(n_chunks(), elapsed_s); }

void add_to_ledger(const ControlReport& report, Ledger& ledger) {
  LedgerUnit action;
  action.name = "action";
  action.computed = report.n_ticks() - report.n_underruns;
  action.reused = report.n_underruns;
  action.dropped = report.n_stale;
  const double plan_s = std::accumulate(report.chunk_s.begin(), report.chunk_s.end(), 0.0);
  LedgerUnit chunk;
  chunk.name = "chunk";
  chunk.computed = report.n_chunks();
  chunk.spent = {LedgerAmount::Unit::kSeconds, plan_s, false, ""};
  ledger.units.push_back(action);
  ledger.units.push_back(chunk);

  ledger.facts.push_back({"n_ticks", report.n_ticks(),
                          fmt::format("{} ticks in {}{}", format_count(report.n_ticks()),
                                      format_seconds(report.elapsed_s),
                                      report.is_simulated ? " of simulated time" : "")});
  // Nothing is late in simulated time.
  const std::string misses =
      report.is_simulated ? ""
                          : fmt::format("{} missed by over {:.0f} ms",
                                        format_count(report.n_misses), 1e3 * ControlReport::kMissS);
  ledger.facts.push_back({"n_misses", report.n_misses, misses});
  const bool is_ordinary = !report.is_simulated && !report.has_realtime_priority;
  ledger.facts.push_back({"has_realtime_priority", report.has_realtime_priority,
                          is_ordinary ? "ordinary priority: 'ulimit -r 10' would spare misses on a "
                                        "busy machine"
                                      : ""});
  ledger.facts.push_back({"n_underruns", report.n_underruns,
                          fmt::format("{} underruns", format_count(report.n_underruns))});
  ledger.facts.push_back(
      {"n_over_budget", report.n_over_budget,
       report.n_over_budget == 0
           ? ""
           : fmt::format("{} chunks over budget", format_count(report.n_over_budget))});
  ledger.facts.push_back({"n_stale", report.n_stale, ""});
  add_latency("tick_late", report.is_simulated ? "" : "ticks late", report.tick_s, ledger);
  add_latency("chunk", "a chunk takes", report.chunk_s, ledger);
  ledger.facts.push_back({"actions_per_s", report.actions_per_s(),
                          fmt::format("{:.1f} actions a second", report.actions_per_s())});
  ledger.facts.push_back({"chunks_per_s", report.chunks_per_s(),
                          fmt::format("{:.2f} chunks a second", report.chunks_per_s())});
  const double possible = rate(report.n_chunks(), plan_s);
  ledger.facts.push_back({"planner_chunks_per_s", possible,
                          fmt::format("the planner alone could make {:.1f}", possible)});
  ledger.facts.push_back({"elapsed_s", report.elapsed_s, ""});
}

}  // namespace reprise
