#include "core/roofline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/svg_elements.h"

namespace reprise {
namespace {

// Lengths in units of the viewBox.
constexpr double kHeight = 300;
constexpr double kLeft = 40;    // room for the y axis
constexpr double kRight = 128;  // room for names of ceilings
constexpr double kTop = 24;     // room for the y title
constexpr double kBottom = 40;  // room for the x axis

// A power of two for the x axis, 1/8 to 1,024.
std::string intensity_text(double exponent) {
  return exponent < 0 ? fmt::format("1/{:.0f}", std::exp2(-exponent))
                      : fmt::format("{:.0f}", std::exp2(exponent));
}

// From one whole exponent below everything that is drawn to one above.
struct Range {
  double low = INFINITY;
  double high = -INFINITY;
  void include(double exponent) {
    low = std::min(low, std::floor(exponent));
    high = std::max(high, std::ceil(exponent));
  }
};

}  // namespace

std::string roofline_svg(const Roofline& roofline) {
  if (roofline.ceilings.empty()) return "";
  Range xs;  // log2 of operations a byte
  Range ys;  // log10 of operations a second
  for (const Roofline::Ceiling& ceiling : roofline.ceilings) {
    xs.include(std::log2(roofline.ridge(ceiling)) + 1);
    xs.include(std::log2(roofline.ridge(ceiling)) - 3);
    ys.include(std::log10(ceiling.ops_s));
  }
  for (const Roofline::Point& point : roofline.points) {
    xs.include(std::log2(point.ops_a_byte));
    ys.include(std::log10(point.ops_s));
  }
  ys.include(xs.low * std::log10(2) + std::log10(roofline.bytes_s));
  const SvgScale x{xs.low, xs.high, kLeft, kSvgWidth - kRight};
  const SvgScale y{ys.low, ys.high, kHeight - kBottom, kTop};
  const auto at_x = [&](double ops_a_byte) { return x(std::log2(ops_a_byte)); };
  const auto at_y = [&](double ops_s) { return y(std::log10(ops_s)); };

  std::string out = svg_open(kHeight, "operations a second against operations a byte");
  out += svg_text(0, 11, "name", "10^9 operations/s");
  for (int32_t i = 0; ys.low + i <= ys.high; ++i) {
    const double exponent = ys.low + i;
    out += svg_line(kLeft, y(exponent), kSvgWidth - kRight, y(exponent),
                    exponent == ys.low ? "axis" : "grid");
    out += svg_text(kLeft - 5, y(exponent) + 4, "tick",
                    fmt::format("{:.4g}", std::pow(10, exponent - 9)), "end");
  }
  const double x_step = xs.high - xs.low > 8 ? 2 : 1;
  for (int32_t i = 0; xs.low + i * x_step <= xs.high; ++i) {
    const double exponent = xs.low + i * x_step;
    out += svg_line(x(exponent), y(ys.low), x(exponent), y(ys.low) + 4, "axis");
    out += svg_text(x(exponent), y(ys.low) + 17, "tick", intensity_text(exponent), "middle");
  }
  out += svg_text((kLeft + kSvgWidth - kRight) / 2, kHeight - 5, "name", "operations a byte read",
                  "middle");

  double last_ridge = 0;
  std::vector<double> wanted;
  for (const Roofline::Ceiling& ceiling : roofline.ceilings) {
    const double ridge = roofline.ridge(ceiling);
    last_ridge = std::max(last_ridge, ridge);
    wanted.push_back(at_y(ceiling.ops_s));
    out += svg_line(at_x(ridge), wanted.back(), x(xs.high), wanted.back(), "roof");
    out += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" class=\"ridge\"/>\n",
                       at_x(ridge), wanted.back());
    out +=
        svg_text(at_x(ridge) - 6, wanted.back() - 4, "tick", fmt::format("{:.3g}", ridge), "end");
  }
  const double first = std::exp2(xs.low);
  out += svg_line(at_x(first), at_y(first * roofline.bytes_s), at_x(last_ridge),
                  at_y(last_ridge * roofline.bytes_s), "roof");
  const std::vector<double> places = spread_names(wanted, kTop, y(ys.low));
  for (size_t i = 0; i < places.size(); ++i) {
    out += svg_text(x(xs.high) + 6, places[i] + 4, "name", roofline.ceilings[i].name);
  }
  for (const Roofline::Point& point : roofline.points) {
    out += fmt::format(
        "<g class=\"l{}\"><title>{}: {:.1f}</title><circle cx=\"{:.1f}\" cy=\"{:.1f}\" "
        "r=\"{}\"/></g>\n",
        point.colour, escape_html(point.name), point.ops_s * 1e-9, at_x(point.ops_a_byte),
        at_y(point.ops_s), point.colour > 0 ? 3.5 : 2.5);
  }
  return out + "</svg>\n";
}

}  // namespace reprise
