#include "engines/infill/infill_ledger.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/quantities.h"

namespace reprise {
namespace {

double ratio(double a, double b) { return b > 0 ? a / b : 0; }

int64_t positions_to_fill(const Canvas& canvas) {
  int64_t n = 0;
  for (const Gap& gap : canvas.gaps) n += gap.n;
  return n;
}

LedgerUnit row_unit(const InfillReport& report, const InfillCost& cost) {
  LedgerUnit row;
  row.name = "token row";
  row.computed = report.n_rows;
  row.reused = report.n_rows_reused;
  row.spent = {LedgerAmount::Unit::kSeconds, cost.pass_s, false, ""};
  if (report.n_rows_reused > 0) {
    row.saved = {LedgerAmount::Unit::kSeconds,
                 cost.row_s * static_cast<double>(report.n_rows_reused), true, "passes"};
  }
  return row;
}

LedgerList span_list(const InfillReport& report) {
  LedgerList list{"spans", {}};
  for (const InfillSpan& span : report.spans) {
    const int64_t delimiter =
        span.plan.reason == SpanReason::kDelimiter ? span.first + span.plan.i_delimiter : -1;
    list.rows.push_back({{"first", int64_t{span.first}, ""},
                         {"n", int64_t{span.plan.n}, ""},
                         {"reason", std::string(to_string(span.plan.reason)), ""},
                         {"delimiter_position", delimiter, ""},
                         {"confidence", double{span.plan.confidence}, ""},
                         {"n_steps", int64_t{span.n_steps}, ""}});
  }
  return list;
}

}  // namespace

std::string_view to_string(SpanReason reason) {
  switch (reason) {
    case SpanReason::kFixed:
      return "fixed";
    case SpanReason::kDelimiter:
      return "delimiter";
    case SpanReason::kNoDelimiter:
      return "no_delimiter";
    case SpanReason::kLowConfidence:
      break;
  }
  return "low_confidence";
}

Ledger infill_ledger(const InfillResult& result, const InfillCost& cost,
                     const std::string& policy) {
  const InfillReport& report = result.report;
  const auto n_passes = static_cast<int64_t>(report.steps.size());
  const auto n_spans = static_cast<int64_t>(report.spans.size());
  int64_t n_filled = 0;
  for (const InfillStep& step : report.steps) n_filled += static_cast<int64_t>(step.commits.size());
  int64_t n_planned = 0;
  for (const InfillSpan& span : report.spans) n_planned += span.plan.n;
  const int64_t n_to_fill = positions_to_fill(result.canvas);

  LedgerUnit position;
  position.name = "position";
  position.computed = n_filled;
  position.dropped = n_to_fill - n_filled;

  const double tokens_a_pass = ratio(static_cast<double>(n_filled), static_cast<double>(n_passes));
  const double mean_span = ratio(static_cast<double>(n_planned), static_cast<double>(n_spans));
  const double plan_share = ratio(report.plan_s, cost.total_s);
  const double commit_share = ratio(report.commit_s, cost.total_s);
  Ledger ledger;
  ledger.units = {row_unit(report, cost), position};
  ledger.facts = {
      {"n_canvas", int64_t{result.canvas.n()},
       fmt::format("canvas {} rows", format_count(result.canvas.n()))},
      {"n_to_fill", n_to_fill, ""},
      {"n_filled", n_filled,
       fmt::format("{} positions filled in {}", format_count(n_filled),
                   format_seconds(cost.total_s))},
      {"n_answer_tokens", static_cast<int64_t>(result.answer.size()), ""},
      {"n_passes", n_passes,
       fmt::format("{} {}, {} over all rows", format_count(n_passes),
                   n_passes == 1 ? "pass" : "passes", format_count(report.n_full))},
      {"n_full_passes", int64_t{report.n_full}, ""},
      {"tokens_per_pass", tokens_a_pass, fmt::format("{:.1f} tokens a pass", tokens_a_pass)},
      {"n_spans", n_spans,
       fmt::format("{} {} of {:.1f}", format_count(n_spans), n_spans == 1 ? "span" : "spans",
                   mean_span)},
      {"mean_span", mean_span, ""},
      {"pass_s", cost.pass_s, ""},
      {"row_s", cost.row_s, ""},
      {"total_s", cost.total_s, ""},
      {"plan_s", report.plan_s, ""},
      {"plan_share", plan_share,
       fmt::format("planning {:.2f} % and committing {:.2f} % of the time", 100 * plan_share,
                   100 * commit_share)},
      {"commit_s", report.commit_s, ""},
      {"commit_share", commit_share, ""},
      {"peak_cache_bytes", cost.peak_cache_bytes,
       fmt::format("peak cache {}", format_bytes(cost.peak_cache_bytes))},
      {"policy", policy, fmt::format("policy {}", policy)}};
  ledger.lists = {span_list(report)};
  return ledger;
}

InfillAgreement agreement(const InfillResult& a, const InfillResult& b) {
  InfillAgreement out;
  const auto compare = [&](int32_t position, bool is_same) {
    ++out.n;
    out.n_same += is_same ? 1 : 0;
    if (!is_same && out.first_different < 0) out.first_different = position;
  };
  for (const Gap& gap : a.canvas.gaps) {
    if (!a.canvas.is_answer) {
      for (int32_t p = gap.first; p < gap.end(); ++p)
        compare(p, a.canvas.ids[p] == b.canvas.ids[p]);
      continue;
    }
    const size_t n = std::max(a.answer.size(), b.answer.size());
    for (size_t i = 0; i < n; ++i) {
      compare(gap.first + static_cast<int32_t>(i),
              i < a.answer.size() && i < b.answer.size() && a.answer[i] == b.answer[i]);
    }
  }
  return out;
}

}  // namespace reprise
