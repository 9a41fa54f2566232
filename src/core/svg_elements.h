#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace reprise {

// What plots are drawn from. Lengths are units of the viewBox: about one pixel on a phone.

constexpr double kSvgWidth = 400;

// Text for HTML and SVG, inside elements and quoted attributes.
std::string escape_html(std::string_view text);

// The start tag of a plot kSvgWidth wide; the title is for those who cannot see it.
std::string svg_open(double height, std::string_view title);
std::string svg_text(double x, double y, std::string_view css_class, std::string_view text,
                     std::string_view anchor = "start");
std::string svg_line(double x1, double y1, double x2, double y2, std::string_view css_class);

// Where names stand so that none covers another, between low and high: as near as possible to where
// they are wanted.
std::vector<double> spread_names(std::vector<double> wanted, double low, double high);

// From values to places along one axis.
struct SvgScale {
  double from = 0;  // value at place a
  double to = 1;    // value at place b
  double a = 0;
  double b = 1;
  double operator()(double value) const { return a + (value - from) / (to - from) * (b - a); }
};

}  // namespace reprise
