#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace reprise {

// A quantity with its unit.
struct LedgerAmount {
  enum class Unit : uint8_t { kNone, kBytes, kSeconds };
  Unit unit = Unit::kNone;
  double value = 0;
  bool is_estimate = false;  // a measured unit cost times a count
  std::string of;            // what it is a part of: "decode"; may be empty
};

// The verdicts on all units of one kind. Every unit has exactly one, its final one.
struct LedgerUnit {
  std::string name;  // "kv entry"
  int64_t computed = 0;
  int64_t reused = 0;
  int64_t approximated = 0;
  int64_t dropped = 0;
  bool is_kept = false;  // the computed ones stay in memory; the table calls them kept
  LedgerAmount spent;    // on work really done
  LedgerAmount saved;    // never work that was done before the drop
};

// One fact about the whole run.
struct LedgerFact {
  std::string key;  // snake_case with its unit: "prefill_s"
  std::variant<int64_t, double, std::string> value;
  std::string text;  // how the line under the table says it; empty: only JSON shows it
};

// Facts about each of several like things, such as spans of text: JSON shows them as an array of
// objects; tables do not.
struct LedgerList {
  std::string key;  // "spans"
  std::vector<std::vector<LedgerFact>> rows;
};

// What happened when, in seconds from the start of the program.
struct LedgerSpan {
  std::string name;      // "layer 3"
  std::string category;  // "prefill"
  double start_s = 0;
  double duration_s = 0;
  int32_t i_track = 0;  // 0: the run; i: what compute thread i - 1 does at the same time
  double wait_s = 0;    // of the duration, spent waiting for other threads
};

// The record of a run, from which table, JSON and trace are printed.
struct Ledger {
  std::vector<LedgerUnit> units;
  std::vector<LedgerFact> facts;
  std::vector<LedgerSpan> spans;
  std::vector<LedgerList> lists;
  std::vector<std::string> remarks;  // lines under the table; JSON has the facts behind them
};

// A table of the units, one line of facts and the remarks, ready for a terminal; ends with a
// newline.
std::string ledger_table(const Ledger& ledger);
// The line of facts alone, without a newline.
std::string ledger_line(const Ledger& ledger);
// {"units": [...], "facts": {key: value}, LIST: [{key: value}, ...]}; ends with a newline.
std::string ledger_json(const Ledger& ledger);
// The spans in Chrome's trace format, for Perfetto or chrome://tracing.
std::string ledger_trace(const Ledger& ledger);

}  // namespace reprise
