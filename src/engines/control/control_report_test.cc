#include "engines/control/control_report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace reprise {
namespace {

TEST(LatencySummary, TakesNearestRanks) {
  EXPECT_EQ(latency_summary({}).n, 0);
  EXPECT_EQ(latency_summary({}).max_s, 0);
  const std::vector<double> one = {3};
  EXPECT_EQ(latency_summary(one).p50_s, 3);
  EXPECT_EQ(latency_summary(one).p95_s, 3);
  std::vector<double> hundred;
  for (int i = 100; i >= 1; --i) hundred.push_back(i);
  const LatencySummary summary = latency_summary(hundred);
  EXPECT_EQ(summary.n, 100);
  EXPECT_EQ(summary.p50_s, 50);
  EXPECT_EQ(summary.p95_s, 95);
  EXPECT_EQ(summary.max_s, 100);
}

TEST(ControlReport, CountsActionsAndChunksApart) {
  ControlReport report;
  report.tick_s.assign(40, 0.001);
  report.chunk_s.assign(5, 0.25);
  report.n_underruns = 10;
  report.n_stale = 6;
  report.elapsed_s = 4;
  EXPECT_DOUBLE_EQ(report.actions_per_s(), 7.5);  // a held action is none
  EXPECT_DOUBLE_EQ(report.chunks_per_s(), 1.25);
  Ledger ledger;
  add_to_ledger(report, ledger);
  ASSERT_EQ(ledger.units.size(), 2U);
  EXPECT_EQ(ledger.units[0].computed, 30);
  EXPECT_EQ(ledger.units[0].reused, 10);
  EXPECT_EQ(ledger.units[0].dropped, 6);
  EXPECT_EQ(ledger.units[1].computed, 5);
  const auto facts = nlohmann::json::parse(ledger_json(ledger))["facts"];
  EXPECT_DOUBLE_EQ(facts["actions_per_s"], 7.5);
  EXPECT_DOUBLE_EQ(facts["chunks_per_s"], 1.25);
  EXPECT_DOUBLE_EQ(facts["planner_chunks_per_s"], 4);
  EXPECT_DOUBLE_EQ(facts["tick_late_max_s"], 0.001);
  EXPECT_EQ(facts["n_underruns"], 10);
}

TEST(ControlReport, SaysWhatTimeItCounts) {
  ControlReport report;
  report.tick_s = {0};
  Ledger real;
  add_to_ledger(report, real);
  EXPECT_NE(ledger_line(real).find("missed"), std::string::npos);
  EXPECT_NE(ledger_line(real).find("ordinary priority"), std::string::npos);
  report.has_realtime_priority = true;
  Ledger first;
  add_to_ledger(report, first);
  EXPECT_EQ(ledger_line(first).find("priority"), std::string::npos);
  report.has_realtime_priority = false;
  report.is_simulated = true;
  Ledger simulated;
  add_to_ledger(report, simulated);
  EXPECT_NE(ledger_line(simulated).find("of simulated time"), std::string::npos);
  EXPECT_EQ(ledger_line(simulated).find("missed"), std::string::npos);
  EXPECT_EQ(ledger_line(simulated).find("priority"), std::string::npos);
}

TEST(ControlReport, OfNothingHasNoRates) {
  Ledger ledger;
  add_to_ledger({}, ledger);
  EXPECT_EQ(ControlReport{}.actions_per_s(), 0);
  EXPECT_FALSE(ledger_table(ledger).empty());
}

}  // namespace
}  // namespace reprise
