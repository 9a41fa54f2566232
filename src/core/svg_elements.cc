#include "core/svg_elements.h"

#include <fmt/format.h>

#include <algorithm>

namespace reprise {
namespace {

constexpr double kNameStep = 13;  // between names

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

std::string svg_open(double height, std::string_view title) {
  return fmt::format("<svg viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" aria-label=\"{}\">\n",
                     kSvgWidth, height, escape_html(title));
}

std::string svg_text(double x, double y, std::string_view css_class, std::string_view text,
                     std::string_view anchor) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" class=\"{}\" text-anchor=\"{}\">{}</text>\n",
                     x, y, css_class, anchor, escape_html(text));
}

std::string svg_line(double x1, double y1, double x2, double y2, std::string_view css_class) {
  return fmt::format(
      "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" class=\"{}\"/>\n", x1, y1, x2,
      y2, css_class);
}

std::vector<double> spread_names(std::vector<double> wanted, double low, double high) {
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

}  // namespace reprise
