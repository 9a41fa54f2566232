#include "core/ledger.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "core/quantities.h"

namespace reprise {
namespace {

using nlohmann::ordered_json;

constexpr size_t kColumns = 7;
using Row = std::array<std::string, kColumns>;

std::string count_text(int64_t n) { return n == 0 ? "-" : format_count(n); }

std::string amount_text(const LedgerAmount& amount) {
  if (amount.unit == LedgerAmount::Unit::kNone) return "-";
  std::string text = amount.unit == LedgerAmount::Unit::kBytes
                         ? format_bytes(static_cast<int64_t>(amount.value))
                         : format_seconds(amount.value);
  if (amount.is_estimate) text.insert(0, "est. ");
  return amount.of.empty() ? text : fmt::format("{} of {}", text, amount.of);
}

Row row_of(const LedgerUnit& unit) {
  return {unit.name,
          unit.is_kept ? fmt::format("{} kept", format_count(unit.computed))
                       : count_text(unit.computed),
          count_text(unit.reused),
          count_text(unit.approximated),
          count_text(unit.dropped),
          amount_text(unit.spent),
          amount_text(unit.saved)};
}

ordered_json to_json(const LedgerAmount& amount) {
  if (amount.unit == LedgerAmount::Unit::kNone) return nullptr;
  ordered_json out = {{"value", amount.value},
                      {"unit", amount.unit == LedgerAmount::Unit::kBytes ? "bytes" : "s"},
                      {"is_estimate", amount.is_estimate}};
  if (!amount.of.empty()) out["of"] = amount.of;
  return out;
}

void add(const LedgerFact& fact, ordered_json& object) {
  std::visit([&](const auto& value) { object[fact.key] = value; }, fact.value);
}

ordered_json summary(const Ledger& ledger) {
  ordered_json out = {{"units", ordered_json::array()}, {"facts", ordered_json::object()}};
  for (const LedgerUnit& unit : ledger.units) {
    out["units"].push_back({{"name", unit.name},
                            {"computed", unit.computed},
                            {"reused", unit.reused},
                            {"approximated", unit.approximated},
                            {"dropped", unit.dropped},
                            {"spent", to_json(unit.spent)},
                            {"saved", to_json(unit.saved)}});
  }
  for (const LedgerFact& fact : ledger.facts) add(fact, out["facts"]);
  for (const LedgerList& list : ledger.lists) {
    ordered_json& rows = out[list.key] = ordered_json::array();
    for (const std::vector<LedgerFact>& facts : list.rows) {
      ordered_json& row = rows.emplace_back(ordered_json::object());
      for (const LedgerFact& fact : facts) add(fact, row);
    }
  }
  return out;
}

// Text of a model may hold bytes that are no UTF-8; JSON shows U+FFFD in their place.
std::string dump(const ordered_json& json, int indent) {
  return json.dump(indent, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string ledger_table(const Ledger& ledger) {
  std::vector<Row> rows = {
      {"unit", "computed", "reused", "approximated", "dropped", "spent", "saved"}};
  for (const LedgerUnit& unit : ledger.units) rows.push_back(row_of(unit));
  std::array<size_t, kColumns> widths{};
  for (const Row& row : rows) {
    for (size_t i = 0; i < kColumns; ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const Row& row : rows) {
    std::string line = fmt::format("{:<{}}", row[0], widths[0]);
    for (size_t i = 1; i < kColumns; ++i) line += fmt::format("   {:>{}}", row[i], widths[i]);
    out += line + "\n";
  }
  const std::string facts = ledger_line(ledger);
  if (!facts.empty()) out += facts + "\n";
  for (const std::string& remark : ledger.remarks) out += remark + "\n";
  return out;
}

std::string ledger_line(const Ledger& ledger) {
  std::string line;
  for (const LedgerFact& fact : ledger.facts) {
    if (fact.text.empty()) continue;
    if (!line.empty()) line += " · ";
    line += fact.text;
  }
  return line;
}

std::string ledger_json(const Ledger& ledger) { return dump(summary(ledger), 2); }

std::string ledger_trace(const Ledger& ledger) {
  ordered_json events = ordered_json::array();
  for (const LedgerSpan& span : ledger.spans) {
    ordered_json event = {{"name", span.name},        {"cat", span.category},         {"ph", "X"},
                          {"ts", span.start_s * 1e6}, {"dur", span.duration_s * 1e6}, {"pid", 1},
                          {"tid", span.i_track + 1}};
    if (span.wait_s > 0) event["args"] = {{"wait_us", span.wait_s * 1e6}};
    events.push_back(std::move(event));
  }
  return dump({{"traceEvents", std::move(events)},
               {"displayTimeUnit", "ms"},
               {"otherData", summary(ledger)}},
              -1);
}

}  // namespace reprise
