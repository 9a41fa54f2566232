#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/machine.h"
#include "core/roofline.h"

namespace reprise {

// A quantity that was measured n_runs times: the median, and as spread the quartiles around it.
struct BenchSample {
  int32_t n_runs = 0;
  double median = 0;
  double low = 0;   // lower quartile
  double high = 0;  // upper quartile
};

// Quartiles by linear interpolation between the sorted runs. `runs` may not be empty.
BenchSample bench_sample(std::vector<double> runs);

// How a quantity is written for people.
enum class BenchFormat : uint8_t { kNumber, kRate, kBytes, kShare, kSmall };
std::string format_value(BenchFormat format, double value);

// One quantity that rows may carry.
struct BenchColumn {
  std::string key;    // in JSON, with its unit: "decode_tok_s"
  std::string title;  // in tables: "decode tok/s"
  BenchFormat format = BenchFormat::kNumber;
  enum class Plot : uint8_t { kNone, kBars, kLine } plot = Plot::kNone;  // kLine: bars as well
  bool is_less_better = false;
  std::string caption = {};  // under its plot
  bool is_brief = true;      // stands in the terminal's table too
};

// One contestant at one setting.
struct BenchRow {
  std::string subject;                                      // "cake:budget=1024"
  int64_t setting = 0;                                      // "context": 8000
  std::vector<std::pair<std::string, BenchSample>> values;  // by column key

  const BenchSample* value(const std::string& key) const;  // null when it was not measured
};

// What a ratio has to reach.
struct BenchTarget {
  enum class Kind : uint8_t { kAtLeast, kAtMost, kNear } kind = Kind::kAtLeast;
  double value = 0;
  double tolerance = 0;  // of kNear

  bool is_met(double ratio) const;
  std::string text() const;  // ">= 0.95"
};

struct BenchRatio {
  std::string key;  // above 1 is better unless the name says a share, a cost or an error
  BenchSample value;
  std::optional<BenchTarget> target = {};
};

// What one bench found, from which JSON, table and page are made.
struct BenchReport {
  std::string bench;  // "kv"
  std::string title;
  Machine machine;
  std::vector<std::pair<std::string, std::string>> facts;  // model, threads, ...
  std::string setting = "context";                         // what BenchRow::setting counts
  std::vector<BenchColumn> columns;
  std::vector<BenchRow> rows;
  std::vector<BenchRatio> ratios;
  std::vector<Roofline> rooflines;      // of the machine, one a setting; most benches have none
  std::vector<std::string> highlights;  // subjects that plots show in colour, four at most
  std::vector<std::string> notes;       // what a reader has to know, one sentence each
};

// {"bench", "machine", "facts", "rows": [...], "ratios": {key: number}, "ratio_samples": {key:
// {...}}, "notes"}; ends with a newline. A row is {"subject", setting, column: {"n_runs", "median",
// "low", "high"}}. Where there are rooflines, "rooflines": [{setting, "gb_s", "ceilings",
// "points"}].
std::string bench_json(const BenchReport& report);
// Tables for a terminal: one a setting, then the ratios with their targets; ends with a newline.
std::string bench_table(const BenchReport& report);

}  // namespace reprise
