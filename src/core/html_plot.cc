#include "core/html_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>

#include "core/quantities.h"

namespace reprise {
namespace {

// Units of the viewBox: about one pixel on a phone.
constexpr double kWidth = 400;
constexpr double kBarStep = 36;    // from one bar to the next
constexpr double kBarHeight = 12;  // of the bar itself
constexpr double kLineHeight = 270;
constexpr double kLeft = 34;      // room for the y axis
constexpr double kRight = 128;    // room for names of lines
constexpr double kTop = 24;       // room for the y title
constexpr double kBottom = 40;    // room for the x axis
constexpr double kNameStep = 13;  // between names of lines

std::string text_at(double x, double y, std::string_view css_class, std::string_view text,
                    std::string_view anchor = "start") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" class=\"{}\" text-anchor=\"{}\">{}</text>\n",
                     x, y, css_class, anchor, escape_html(text));
}

std::string line_between(double x1, double y1, double x2, double y2, std::string_view css_class) {
  return fmt::format(
      "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" class=\"{}\"/>\n", x1, y1, x2,
      y2, css_class);
}

std::string open_svg(double height, std::string_view title) {
  return fmt::format("<svg viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" aria-label=\"{}\">\n", kWidth,
                     height, escape_html(title));
}

// A round step that divides 0..max into at most five parts.
double tick_step(double max) {
  const double power = std::pow(10, std::floor(std::log10(max / 5)));
  for (const double factor : {1.0, 2.0, 2.5, 5.0}) {
    if (max / (factor * power) <= 5) return factor * power;
  }
  return 10 * power;
}

// Where names stand so that none covers another: as near as possible to where their lines end.
std::vector<double> spread(std::vector<double> wanted, double low, double high) {
  std::vector<size_t> order(wanted.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, {}, [&](size_t i) { return wanted[i]; });
  double at = low - kNameStep;
  for (const size_t i : order) wanted[i] = at = std::max(wanted[i], at + kNameStep);
  at = high + kNameStep;
  for (const size_t i : std::vector<size_t>(order.rbegin(), order.rend())) {
    wanted[i] = at = std::min(wanted[i], at - kNameStep);
  }
  return wanted;
}

struct Scale {
  double from = 0;  // value at pixel a
  double to = 1;    // value at pixel b
  double a = 0;
  double b = 1;
  double operator()(double value) const { return a + (value - from) / (to - from) * (b - a); }
};

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string bar_svg(const BarPlot& plot) {
  double max = plot.reference.value_or(0);
  for (const PlotBar& bar : plot.bars) {
    max = std::max({max, bar.value, bar.high, bar.mark.value_or(0)});
  }
  const Scale x{0, max > 0 ? max : 1, 1, kWidth - 4};
  const double height = kBarStep * static_cast<double>(plot.bars.size()) + 4;
  std::string out = open_svg(height, "bars");
  double y = 0;
  for (const PlotBar& bar : plot.bars) {
    const double top = y + 18;
    const double middle = top + kBarHeight / 2;
    out += text_at(0, y + 13, bar.colour > 0 ? "name strong" : "name", bar.label);
    out += text_at(kWidth, y + 13, "number", bar.value_text, "end");
    out += fmt::format(
        "<rect x=\"0\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.0f}\" rx=\"2\" class=\"c{}\"/>\n",
        top, std::max(1.0, x(bar.value)), kBarHeight, bar.colour);
    if (bar.high > bar.low) {
      out += line_between(x(bar.low), middle, x(bar.high), middle, "whisker");
      for (const double end : {bar.low, bar.high}) {
        out += line_between(x(end), middle - 4, x(end), middle + 4, "whisker");
      }
    }
    if (bar.mark) {
      out += line_between(x(*bar.mark), top - 3, x(*bar.mark), top + kBarHeight + 3, "mark");
    }
    y += kBarStep;
  }
  if (plot.reference) {
    out += line_between(x(*plot.reference), 0, x(*plot.reference), height, "reference");
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
  const Scale x{first, last > first ? last : first + 1, kLeft, kWidth - kRight};
  const Scale y{0, y_max, kLineHeight - kBottom, kTop};
  std::string out = open_svg(kLineHeight, plot.y_title + " against " + plot.x_title);
  out += text_at(0, 11, "name", plot.y_title);
  const double step = tick_step(y_max);
  for (int32_t i = 0; i * step <= y_max * 1.001; ++i) {
    const double tick = i * step;
    out += line_between(kLeft, y(tick), kWidth - kRight, y(tick), i == 0 ? "axis" : "grid");
    out += text_at(kLeft - 5, y(tick) + 4, "tick", fmt::format("{:.4g}", tick), "end");
  }
  for (const auto& [value, n] : xs) {
    const double at = x(std::log(value));
    out += line_between(at, y(0), at, y(0) + 4, "axis");
    out += text_at(at, y(0) + 17, "tick", format_count(std::llround(value)), "middle");
  }
  out += text_at((kLeft + kWidth - kRight) / 2, kLineHeight - 5, "name", plot.x_title, "middle");

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
        out += line_between(at, y(p.low), at, y(p.high), "error");
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
  const std::vector<double> places = spread(ends, kTop, y(0));
  for (size_t i = 0; i < named.size(); ++i) {
    out += text_at(kWidth - kRight + 9, places[i] + 4, fmt::format("name t{}", named[i]->colour),
                   named[i]->label);
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
)css";
}

}  // namespace reprise
