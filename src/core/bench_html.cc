#include "core/bench_html.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/html_plot.h"
#include "core/quantities.h"
#include "core/svg_elements.h"

namespace reprise {
namespace {

constexpr std::string_view kPageCss = R"css(
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 24px 16px 64px; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 4px; }
h2 { font-size: 1.1rem; margin: 40px 0 8px; } h3 { font-size: 1rem; margin: 0 0 8px; }
p { margin: 0 0 12px; max-width: 70ch; } .soft { max-width: none; } .soft, figcaption { color: var(--soft); font-size: .875rem; }
.plots { display: grid; gap: 16px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); }
figure { margin: 0; padding: 16px; background: var(--panel); border-radius: 8px; }
figcaption { margin-top: 8px; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .875rem; width: 100%;
  font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 6px 10px; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th { font-weight: 600; color: var(--soft); } th:first-child, td:first-child { text-align: left; }
.met { color: var(--c5); } .missed { color: var(--c6); font-weight: 600; }
)css";

int32_t colour_of(const BenchReport& report, const std::string& subject) {
  const auto found = std::ranges::find(report.highlights, subject);
  return found == report.highlights.end()
             ? 0
             : static_cast<int32_t>(found - report.highlights.begin()) % 4 + 1;
}

std::string figure(std::string_view title, std::string_view caption, const std::string& svg) {
  return fmt::format("<figure><h3>{}</h3>\n{}<figcaption>{}</figcaption></figure>\n",
                     escape_html(title), svg, escape_html(caption));
}

std::string ratio_plot(const BenchReport& report) {
  BarPlot plot;
  plot.reference = 1;
  for (const BenchRatio& ratio : report.ratios) {
    PlotBar& bar =
        plot.bars.emplace_back(PlotBar{ratio.key, fmt::format("{:.3f}", ratio.value.median),
                                       ratio.value.median, ratio.value.low, ratio.value.high});
    if (!ratio.target) continue;
    bar.mark = ratio.target->value;
    bar.colour = ratio.target->is_met(ratio.value.median) ? kGood : kBad;
  }
  return figure(
      "Ratios",
      "Dashed: 1. Tick: the target; green meets it, red misses it, grey has none. Above 1 "
      "is better unless the name says a share or a cost. Whiskers: quartiles over runs.",
      bar_svg(plot));
}

std::string line_plot(const BenchReport& report, const BenchColumn& column) {
  LinePlot plot{report.setting, column.title, {}};
  for (const BenchRow& row : report.rows) {
    const BenchSample* sample = row.value(column.key);
    if (sample == nullptr || row.setting <= 0) continue;
    auto line = std::ranges::find(plot.lines, row.subject, &PlotLine::label);
    if (line == plot.lines.end()) {
      plot.lines.push_back({row.subject, colour_of(report, row.subject), {}});
      line = plot.lines.end() - 1;
    }
    line->points.push_back(
        {static_cast<double>(row.setting), sample->median, sample->low, sample->high});
  }
  return figure(fmt::format("{} against {}", column.title, report.setting), column.caption,
                line_svg(plot));
}

// Bars of all subjects at one setting, the best first.
std::string bar_plot(const BenchReport& report, const BenchColumn& column, int64_t setting) {
  BarPlot plot;
  for (const BenchRow& row : report.rows) {
    const BenchSample* sample = row.value(column.key);
    if (sample == nullptr || row.setting != setting) continue;
    std::string text = format_value(column.format, sample->median);
    if (column.format == BenchFormat::kRate && sample->n_runs == 1) text += " · 1 run";
    plot.bars.push_back({row.subject, text, sample->median, sample->low, sample->high,
                         colour_of(report, row.subject)});
  }
  if (plot.bars.empty()) return "";
  std::ranges::stable_sort(plot.bars, {}, &PlotBar::value);
  if (!column.is_less_better) std::ranges::reverse(plot.bars);
  return figure(fmt::format("{}, {} {}", column.title, report.setting, format_count(setting)),
                column.caption, bar_svg(plot));
}

std::string roofline_plot(const BenchReport& report, const Roofline& roofline) {
  return figure(fmt::format("Roofline, {} {}", report.setting, format_count(roofline.setting)),
                fmt::format("{:.1f} GB/s read. Dots on the roof: the ridge points; left of one, "
                            "memory is the limit.{}",
                            roofline.bytes_s * 1e-9,
                            roofline.points.empty() ? ""
                                                    : " Below it, what was measured: ours in "
                                                      "colour, others grey; names at the pointer."),
                roofline_svg(roofline));
}

std::string row_table(const BenchReport& report) {
  std::string out = fmt::format("<div class=\"wide\"><table><thead><tr><th>subject</th><th>{}</th>",
                                escape_html(report.setting));
  for (const BenchColumn& column : report.columns) {
    out += fmt::format("<th>{}</th>", escape_html(column.title));
  }
  out += "<th>runs</th></tr></thead><tbody>\n";
  for (const BenchRow& row : report.rows) {
    out += fmt::format("<tr><td>{}</td><td>{}</td>", escape_html(row.subject),
                       format_count(row.setting));
    int32_t n_runs = 0;
    for (const BenchColumn& column : report.columns) {
      const BenchSample* sample = row.value(column.key);
      if (sample == nullptr) {
        out += "<td>-</td>";
        continue;
      }
      n_runs = std::max(n_runs, sample->n_runs);
      const std::string spread =
          sample->n_runs > 1 ? fmt::format(" title=\"{} runs, quartiles {} to {}\"", sample->n_runs,
                                           format_value(column.format, sample->low),
                                           format_value(column.format, sample->high))
                             : "";
      out += fmt::format("<td{}>{}</td>", spread, format_value(column.format, sample->median));
    }
    out += fmt::format("<td>{}</td></tr>\n", n_runs);
  }
  return out + "</tbody></table></div>\n";
}

std::string ratio_table(const BenchReport& report) {
  std::string out =
      "<div class=\"wide\"><table><thead><tr><th>ratio</th><th>median</th><th>quartiles</th>"
      "<th>runs</th><th>target</th><th></th></tr></thead><tbody>\n";
  for (const BenchRatio& ratio : report.ratios) {
    const BenchSample& v = ratio.value;
    const bool is_met = ratio.target && ratio.target->is_met(v.median);
    out += fmt::format(
        "<tr><td>{}</td><td>{:.3f}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"{}\">{}</td>"
        "</tr>\n",
        escape_html(ratio.key), v.median,
        v.n_runs > 1 ? fmt::format("{:.3f} to {:.3f}", v.low, v.high) : "-", v.n_runs,
        ratio.target ? escape_html(ratio.target->text()) : "-", is_met ? "met" : "missed",
        !ratio.target ? ""
        : is_met      ? "met"
                      : "missed");
  }
  return out + "</tbody></table></div>\n";
}

}  // namespace

std::string bench_html(const BenchReport& report) {
  const Machine& m = report.machine;
  std::string out = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n"
      "<title>{0}</title>\n<style>{1}{2}</style></head>\n<body><main>\n<h1>{0}</h1>\n",
      escape_html(report.title), plot_css(), kPageCss);
  std::string caches;
  if (m.last_cache_bytes > 0) caches = " · last cache " + format_bytes(m.last_cache_bytes);
  if (m.read_buffer_bytes > 0) caches += " · read buffer " + format_bytes(m.read_buffer_bytes);
  std::string commit = m.commit.empty() ? "" : " · commit " + m.commit;
  out += fmt::format("<p class=\"soft\">{} · {} cores · {}{} · {} · {} · ggml {}{} · {}</p>\n",
                     escape_html(m.cpu), m.n_cores, format_bytes(m.memory_bytes), caches,
                     escape_html(m.kernel), escape_html(m.compiler), escape_html(m.ggml),
                     escape_html(commit), escape_html(m.date));
  std::string facts;
  for (const auto& [key, value] : report.facts) {
    facts +=
        fmt::format("{}{}: {}", facts.empty() ? "" : " · ", escape_html(key), escape_html(value));
  }
  if (!facts.empty()) out += fmt::format("<p class=\"soft\">{}</p>\n", facts);

  std::set<int64_t> settings;
  for (const BenchRow& row : report.rows) settings.insert(row.setting);
  out += "<div class=\"plots\">\n";
  for (const BenchColumn& column : report.columns) {
    if (column.plot == BenchColumn::Plot::kLine && settings.size() > 1) {
      out += line_plot(report, column);
    }
  }
  for (const Roofline& roofline : report.rooflines) out += roofline_plot(report, roofline);
  if (!report.ratios.empty()) out += ratio_plot(report);
  for (const BenchColumn& column : report.columns) {
    if (column.plot == BenchColumn::Plot::kNone || settings.empty()) continue;
    out += bar_plot(report, column, *settings.rbegin());
  }
  out += "</div>\n";
  if (!report.ratios.empty()) out += "<h2>Ratios</h2>\n" + ratio_table(report);
  out += "<h2>All rows</h2>\n" + row_table(report);
  if (!report.notes.empty()) out += "<h2>How it was measured</h2>\n";
  for (const std::string& note : report.notes) {
    out += fmt::format("<p>{}</p>\n", escape_html(note));
  }
  return out + "</main></body></html>\n";
}

}  // namespace reprise
