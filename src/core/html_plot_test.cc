#include "core/html_plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>

#include "core/svg_elements.h"

namespace reprise {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// The value of an attribute in every element of that name, in order.
std::vector<double> attributes(const std::string& svg, const std::string& element,
                               const std::string& name) {
  std::vector<double> out;
  const std::regex pattern("<" + element + R"x([^>]*\b)x" + name + R"x(="([-0-9.]+)")x");
  for (std::sregex_iterator it(svg.begin(), svg.end(), pattern), end; it != end; ++it) {
    out.push_back(std::stod((*it)[1]));
  }
  return out;
}

TEST(BarSvg, LengthsAreProportional) {
  BarPlot plot;
  plot.bars = {{"a", "4", 4, 4, 4}, {"b", "2", 2, 1, 3}, {"c", "0", 0, 0, 0}};
  const std::string svg = bar_svg(plot);
  const std::vector<double> widths = attributes(svg, "rect", "width");
  ASSERT_EQ(widths.size(), 3U);
  EXPECT_NEAR(widths[1] / widths[0], 0.5, 0.01);
  EXPECT_EQ(widths[2], 1);  // a bar of nothing is still seen
  // One whisker with two ends, for the one bar that has a spread.
  const std::regex whisker("class=\"whisker\"");
  EXPECT_EQ(
      std::distance(std::sregex_iterator(svg.begin(), svg.end(), whisker), std::sregex_iterator()),
      3);
}

TEST(BarSvg, ReferenceAndMarksStayInside) {
  BarPlot plot;
  plot.bars = {{"a", "0.5", 0.5, 0.5, 0.5, 1, 1.9}};
  plot.reference = 1;
  for (const double x : attributes(bar_svg(plot), "line", "x1")) {
    EXPECT_GE(x, 0);
    EXPECT_LE(x, 400);
  }
}

TEST(BarSvg, AllZeroAndEmptyArePlots) {
  EXPECT_THAT(bar_svg({{{"a", "0", 0, 0, 0}}}), Not(HasSubstr("nan")));
  EXPECT_THAT(bar_svg({}), HasSubstr("</svg>"));
}

TEST(LineSvg, NamesOfCloseLinesDoNotCover) {
  LinePlot plot{"context", "tok/s", {}};
  for (const int32_t i : {1, 2, 3, 4}) {
    plot.lines.push_back(
        {"line" + std::to_string(i), i, {{128, 90, 89, 91}, {8000, 10.0 + 0.01 * i, 10, 11}}});
  }
  const std::string svg = line_svg(plot);
  std::vector<double> places;
  const std::regex name(R"x(y="([-0-9.]+)" class="name t\d")x");
  for (std::sregex_iterator it(svg.begin(), svg.end(), name), end; it != end; ++it) {
    places.push_back(std::stod((*it)[1]));
  }
  ASSERT_EQ(places.size(), 4U);
  std::ranges::sort(places);
  for (size_t i = 1; i < places.size(); ++i) EXPECT_GE(places[i] - places[i - 1], 12.9);
  EXPECT_LE(places.back(), 270);
}

TEST(LineSvg, GreyLinesTellTheirNamesToThePointer) {
  const std::string svg =
      line_svg({"context", "tok/s", {{"quiet <1>", 0, {{1, 2, 2, 2}, {4, 1, 1, 1}}}}});
  EXPECT_THAT(svg, HasSubstr("<title>quiet &lt;1&gt;</title>"));
  EXPECT_THAT(svg, HasSubstr("class=\"l0\""));
}

TEST(LineSvg, OnePointAndNoPointArePlots) {
  EXPECT_THAT(line_svg({"x", "y", {{"a", 1, {{128, 0, 0, 0}}}}}), Not(HasSubstr("nan")));
  EXPECT_EQ(line_svg({"x", "y", {}}), "");
}

TEST(EscapeHtml, LeavesUtf8Alone) {
  EXPECT_EQ(escape_html("a<b>\"&\" ±"), "a&lt;b&gt;&quot;&amp;&quot; ±");
}

}  // namespace
}  // namespace reprise
