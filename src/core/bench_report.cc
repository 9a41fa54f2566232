#include "core/bench_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/quantities.h"

namespace reprise {
namespace {

using nlohmann::ordered_json;

double quantile(const std::vector<double>& sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

// So many digits behind the point, or two in all where these would say nothing.
std::string with_digits(double value, int n) {
  const bool is_tiny = value != 0 && std::abs(value) < std::pow(10, -n);
  return is_tiny ? fmt::format("{:.1e}", value) : fmt::format("{:.{}f}", value, n);
}

ordered_json to_json(const BenchSample& sample) {
  return {{"n_runs", sample.n_runs},
          {"median", sample.median},
          {"low", sample.low},
          {"high", sample.high}};
}

ordered_json to_json(const Roofline& roofline, const std::string& setting) {
  ordered_json out = {{setting, roofline.setting},
                      {"gb_s", roofline.bytes_s * 1e-9},
                      {"ceilings", ordered_json::array()},
                      {"points", ordered_json::array()}};
  for (const Roofline::Ceiling& ceiling : roofline.ceilings) {
    out["ceilings"].push_back({{"name", ceiling.name},
                               {"gop_s", ceiling.ops_s * 1e-9},
                               {"ridge_ops_a_byte", roofline.ridge(ceiling)}});
  }
  for (const Roofline::Point& point : roofline.points) {
    out["points"].push_back(
        {{"name", point.name}, {"ops_a_byte", point.ops_a_byte}, {"gop_s", point.ops_s * 1e-9}});
  }
  return out;
}

std::string cell(const BenchColumn& column, const BenchSample* sample) {
  if (sample == nullptr) return "-";
  std::string text = format_value(column.format, sample->median);
  if (sample->n_runs < 2 || column.format != BenchFormat::kRate) return text;
  return fmt::format("{} ±{}", text, format_value(column.format, (sample->high - sample->low) / 2));
}

// Characters, not bytes, of UTF-8 text.
size_t n_characters(const std::string& text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; }));
}

using Row = std::vector<std::string>;

// Columns aligned, the first to the left and the others to the right.
std::string aligned(const std::vector<Row>& rows) {
  std::vector<size_t> widths(rows.front().size());
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], n_characters(row[i]));
  }
  std::string out;
  for (const Row& row : rows) {
    out += row[0] + std::string(widths[0] - n_characters(row[0]), ' ');
    for (size_t i = 1; i < row.size(); ++i) {
      out += std::string(3 + widths[i] - n_characters(row[i]), ' ') + row[i];
    }
    out += '\n';
  }
  return out;
}

}  // namespace

BenchSample bench_sample(std::vector<double> runs) {
  assert(!runs.empty());
  std::ranges::sort(runs);
  return {static_cast<int32_t>(runs.size()), quantile(runs, 0.5), quantile(runs, 0.25),
          quantile(runs, 0.75)};
}

std::string format_value(BenchFormat format, double value) {
  switch (format) {
    case BenchFormat::kNumber:
      return fmt::format("{:.2f}", value);
    case BenchFormat::kRate:
      return fmt::format("{:.1f}", value);
    case BenchFormat::kBytes:
      return format_bytes(std::llround(value));
    case BenchFormat::kShare:
      return fmt::format("{:.1f} %", 100 * value);
    case BenchFormat::kSmall:
      return value == 0 ? "0" : with_digits(value, 4);
  }
  return "";
}

const BenchSample* BenchRow::value(const std::string& key) const {
  const auto found = std::ranges::find(values, key, &std::pair<std::string, BenchSample>::first);
  return found == values.end() ? nullptr : &found->second;
}

bool BenchTarget::is_met(double ratio) const {
  switch (kind) {
    case Kind::kAtLeast:
      return ratio >= value;
    case Kind::kAtMost:
      return ratio <= value;
    case Kind::kNear:
      return std::abs(ratio - value) <= tolerance;
  }
  return false;
}

std::string BenchTarget::text() const {
  switch (kind) {
    case Kind::kAtLeast:
      return fmt::format(">= {}", value);
    case Kind::kAtMost:
      return fmt::format("<= {}", value);
    case Kind::kNear:
      return fmt::format("{} ± {}", value, tolerance);
  }
  return "";
}

std::string bench_json(const BenchReport& report) {
  const Machine& m = report.machine;
  ordered_json out = {{"bench", report.bench},
                      {"machine",
                       {{"cpu", m.cpu},
                        {"n_cores", m.n_cores},
                        {"memory_bytes", m.memory_bytes},
                        {"last_cache_bytes", m.last_cache_bytes},
                        {"read_buffer_bytes", m.read_buffer_bytes},
                        {"kernel", m.kernel},
                        {"compiler", m.compiler},
                        {"ggml", m.ggml},
                        {"commit", m.commit},
                        {"date", m.date}}},
                      {"facts", ordered_json::object()},
                      {"rows", ordered_json::array()},
                      {"ratios", ordered_json::object()},
                      {"ratio_samples", ordered_json::object()},
                      {"notes", report.notes}};
  for (const auto& [key, value] : report.facts) out["facts"][key] = value;
  for (const BenchRow& row : report.rows) {
    ordered_json& to = out["rows"].emplace_back(
        ordered_json{{"subject", row.subject}, {report.setting, row.setting}});
    for (const auto& [key, sample] : row.values) to[key] = to_json(sample);
  }
  for (const BenchRatio& ratio : report.ratios) {
    out["ratios"][ratio.key] = ratio.value.median;
    ordered_json& to = out["ratio_samples"][ratio.key] = to_json(ratio.value);
    if (!ratio.target) continue;
    to["target"] = ratio.target->text();
    to["is_met"] = ratio.target->is_met(ratio.value.median);
  }
  for (const Roofline& roofline : report.rooflines)
    out["rooflines"].push_back(to_json(roofline, report.setting));
  // Names of models may hold bytes that are no UTF-8; JSON shows U+FFFD in their place.
  return out.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::string bench_table(const BenchReport& report) {
  std::string out;
  for (size_t first = 0; first < report.rows.size();) {
    const int64_t setting = report.rows[first].setting;
    std::vector<Row> table = {{fmt::format("{} {}", report.setting, format_count(setting))}};
    for (const BenchColumn& column : report.columns) {
      if (column.is_brief) table.front().push_back(column.title);
    }
    for (; first < report.rows.size() && report.rows[first].setting == setting; ++first) {
      const BenchRow& row = report.rows[first];
      Row& line = table.emplace_back(Row{row.subject});
      for (const BenchColumn& column : report.columns) {
        if (column.is_brief) line.push_back(cell(column, row.value(column.key)));
      }
    }
    out += aligned(table) + "\n";
  }
  if (!report.ratios.empty()) {
    std::vector<Row> table = {{"ratio", "median", "quartiles", "runs", "target", ""}};
    for (const BenchRatio& ratio : report.ratios) {
      const BenchSample& v = ratio.value;
      table.push_back({ratio.key, with_digits(v.median, 3),
                       v.n_runs > 1
                           ? fmt::format("{} to {}", with_digits(v.low, 3), with_digits(v.high, 3))
                           : "-",
                       std::to_string(v.n_runs), ratio.target ? ratio.target->text() : "-",
                       !ratio.target                    ? ""
                       : ratio.target->is_met(v.median) ? "met"
                                                        : "missed"});
    }
    out += aligned(table);
  }
  for (const std::string& note : report.notes) out += "note: " + note + "\n";
  return out;
}

}  // namespace reprise
