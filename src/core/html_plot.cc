#include "core/html_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>

#include "core/quantities.h"
#include "core/svg_elements.h"

namespace reprise {
namespace {

// Lengths in units of the viewBox.
constexpr double kBarStep = 36;    // from one bar to the next
constexpr double kBarHeight = 12;  // of the bar itself
constexpr double kLineHeight = 270;
constexpr double kLeft = 34;    // room for the y axis
constexpr double kRight = 128;  // room for names of lines
constexpr double kTop = 24;     // room for the y title
constexpr double kBottom = 40;  // room for the x axis

// A round step that divides 0..max into at most five parts.
double tick_step(double max) {
  const double power = std::pow(10, std::floor(std::log10(max / 5)));
  for (const double factor : {1.0, 2.0, 2.5, 5.0}) {
    if (max / (factor * power) <= 5) return factor * power;
  }
  return 10 * power;
}

}  // namespace

std::string bar_svg(const BarPlot& plot) {
  double max = plot.reference.value_or(0);
  for (const PlotBar& bar : plot.bars) {
    max = std::max({max, bar.value, bar.high, bar.mark.value_or(0)});
  }
  const SvgScale x{0, max > 0 ? max : 1, 1, kSvgWidth - 4};
  const double height = kBarStep * static_cast<double>(plot.bars.size()) + 4;
  std::string out = svg_open(height, "bars");
  double y = 0;
  for (const PlotBar& bar : plot.bars) {
    const double top = y + 18;
    const double middle = top + kBarHeight / 2;
    out += svg_text(0, y + 13, bar.colour > 0 ? "name strong" : "name", bar.label);
    out += svg_text(kSvgWidth, y + 13, "number", bar.value_text, "end");
    out += fmt::format(
        "<rect x=\"0\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.0f}\" rx=\"2\" class=\"c{}\"/>\n",
        top, std::max(1.0, x(bar.value)), kBarHeight, bar.colour);
    if (bar.high > bar.low) {
      out += svg_line(x(bar.low), middle, x(bar.high), middle, "whisker");
      for (const double end : {bar.low, bar.high}) {
        out += svg_line(x(end), middle - 4, x(end), middle + 4, "whisker");
      }
    }
    if (bar.mark) {
      out += svg_line(x(*bar.mark), top - 3, x(*bar.mark), top + kBarHeight + 3, "mark");
    }
    y += kBarStep;
  }
  if (plot.reference) {
    out += svg_line(x(*plot.reference), 0, x(*plot.reference), height, "reference");
  }
  return out + "</svg>\n";
}

std::string line_svg(const LinePlot& plot) {
  std::map<double, int32_t> xs;  // every x that occurs
  double y_max = 0;
  for (const PlotLine& line : plot.lines) {
    for (const PlotPoint& p : line.points) {
      ++xs[p.x];
      y_max = std::max({y_max, p.y, p.high});
    }
  }
  if (xs.empty()) return "";
  if (y_max <= 0) y_max = 1;
  const double first = std::log(xs.begin()->first);
  const double last = std::log(xs.rbegin()->first);
  const SvgScale x{first, last > first ? last : first + 1, kLeft, kSvgWidth - kRight};
  const SvgScale y{0, y_max, kLineHeight - kBottom, kTop};
  std::string out = svg_open(kLineHeight, plot.y_title + " against " + plot.x_title);
  out += svg_text(0, 11, "name", plot.y_title);
  const double step = tick_step(y_max);
  for (int32_t i = 0; i * step <= y_max * 1.001; ++i) {
    const double tick = i * step;
    out += svg_line(kLeft, y(tick), kSvgWidth - kRight, y(tick), i == 0 ? "axis" : "grid");
    out += svg_text(kLeft - 5, y(tick) + 4, "tick", fmt::format("{:.4g}", tick), "end");
  }
  for (const auto& [value, n] : xs) {
    const double at = x(std::log(value));
    out += svg_line(at, y(0), at, y(0) + 4, "axis");
    out += svg_text(at, y(0) + 17, "tick", format_count(std::llround(value)), "middle");
  }
  out +=
      svg_text((kLeft + kSvgWidth - kRight) / 2, kLineHeight - 5, "name", plot.x_title, "middle");

  std::vector<const PlotLine*> lines;  // grey below, the first colour on top
  for (const PlotLine& line : plot.lines) {
    if (!line.points.empty()) lines.push_back(&line);
  }
  std::ranges::stable_sort(
      lines, {}, [](const PlotLine* line) { return line->colour == 0 ? -100 : -line->colour; });
  std::vector<const PlotLine*> named;
  std::vector<double> ends;
  for (const PlotLine* line : lines) {
    out +=
        fmt::format("<g class=\"l{}\"><title>{}</title>\n", line->colour, escape_html(line->label));
    std::string path;
    for (const PlotPoint& p : line->points) {
      path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : " L", x(std::log(p.x)), y(p.y));
    }
    out += fmt::format("<path d=\"{}\"/>\n", path);
    for (const PlotPoint& p : line->points) {
      const double at = x(std::log(p.x));
      if (line->colour > 0 && p.high > p.low) {
        out += svg_line(at, y(p.low), at, y(p.high), "error");
      }
      out += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\"/>\n", at, y(p.y),
                         line->colour > 0 ? 3 : 2);
    }
    out += "</g>\n";
    if (line->colour > 0) {
      named.push_back(line);
      ends.push_back(y(line->points.back().y));
    }
  }
  const std::vector<double> places = spread_names(ends, kTop, y(0));
  for (size_t i = 0; i < named.size(); ++i) {
    out += svg_text(kSvgWidth - kRight + 9, places[i] + 4,
                    fmt::format("name t{}", named[i]->colour), named[i]->label);
  }
  return out + "</svg>\n";
}

std::string_view plot_css() {
  return R"css(
:root { --ink: #1b1f24; --soft: #5c6570; --line: #dfe3e8; --paper: #ffffff; --panel: #f6f7f9;
  --c0: #b9c0c9; --c1: #2563c9; --c2: #d2650f; --c3: #7a3fb0; --c4: #b06fc4; --c5: #1f8a5b;
  --c6: #c62f3d; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e7eaee; --soft: #9aa4b0; --line: #323942; --paper: #15181c; --panel: #1d2127;
    --c0: #56606c; --c1: #6ea8ff; --c2: #ff9c52; --c3: #b58cf0; --c4: #8f68b8; --c5: #3fb983;
    --c6: #f0707a; } }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { font-size: 12px; fill: var(--ink); font-variant-numeric: tabular-nums; }
svg .tick, svg .name { fill: var(--soft); }
svg .strong { fill: var(--ink); font-weight: 600; }
svg .grid { stroke: var(--line); } svg .axis { stroke: var(--soft); }
svg .whisker { stroke: var(--ink); stroke-width: 1.2; }
svg .mark { stroke: var(--ink); stroke-width: 2; }
svg .reference { stroke: var(--soft); stroke-dasharray: 3 3; }
svg .c0 { fill: var(--c0); } svg .c1 { fill: var(--c1); } svg .c2 { fill: var(--c2); }
svg .c3 { fill: var(--c3); } svg .c4 { fill: var(--c4); } svg .c5 { fill: var(--c5); }
svg .c6 { fill: var(--c6); }
svg .t1 { fill: var(--c1); font-weight: 600; } svg .t2 { fill: var(--c2); font-weight: 600; }
svg .t3 { fill: var(--c3); font-weight: 600; } svg .t4 { fill: var(--c4); font-weight: 600; }
svg g path { fill: none; stroke-width: 2; stroke: currentColor; }
svg g circle { fill: currentColor; } svg g .error { stroke: currentColor; stroke-width: 1.2; }
svg .l0 { color: var(--c0); } svg .l0 path { stroke-width: 1.2; }
svg .l1 { color: var(--c1); } svg .l2 { color: var(--c2); }
svg .l3 { color: var(--c3); } svg .l4 { color: var(--c4); }
svg .roof { stroke: var(--ink); stroke-width: 1.6; } svg .ridge { fill: var(--ink); }
)css";
}

}  // namespace reprise
