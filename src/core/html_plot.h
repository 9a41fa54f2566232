#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reprise {

// Plots as inline SVG for pages that open without a network. Colours are CSS classes of the page
// (plot_css()), so that they follow light and dark mode: 1 to 4 are hues, kGood
// and kBad judge, 0 recedes in grey. Text
// in the arguments may be any UTF-8; it is escaped.

constexpr int32_t kGood = 5;
constexpr int32_t kBad = 6;

struct PlotBar {
  std::string label;
  std::string value_text;  // as written at the bar's end
  double value = 0;        // >= 0
  double low = 0;          // whisker from low to high, drawn when they differ
  double high = 0;
  int32_t colour = 0;
  std::optional<double> mark = {};  // a tick on the bar, for a target or a bound
};

struct BarPlot {
  std::vector<PlotBar> bars;
  std::optional<double> reference = {};  // a line across all bars
};

// Horizontal bars from zero, one below the other, labels above them: readable on a phone.
std::string bar_svg(const BarPlot& plot);

struct PlotPoint {
  double x = 0;  // > 0
  double y = 0;  // >= 0
  double low = 0;
  double high = 0;
};

struct PlotLine {
  std::string label;
  int32_t colour = 0;
  std::vector<PlotPoint> points;  // by rising x
};

struct LinePlot {
  std::string x_title;
  std::string y_title;
  std::vector<PlotLine> lines;
};

// Lines over a logarithmic x axis with a tick at every x that occurs, y from zero. Coloured lines
// carry their names at the right end; grey ones tell theirs to the pointer.
std::string line_svg(const LinePlot& plot);

// The rules that the plots' classes need: inside <style>.
std::string_view plot_css();

}  // namespace reprise
