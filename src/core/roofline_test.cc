#include "core/roofline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

namespace reprise {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct Circle {
  double x, y;
};

std::vector<Circle> circles(const std::string& svg, const std::string& pattern) {
  std::vector<Circle> out;
  const std::regex circle("<circle cx=\"([-0-9.]+)\" cy=\"([-0-9.]+)\" r=\"" + pattern);
  for (std::sregex_iterator it(svg.begin(), svg.end(), circle), end; it != end; ++it)
    out.push_back({std::stod((*it)[1]), std::stod((*it)[2])});
  return out;
}

TEST(Roofline, RidgeIsWhereMemoryAndArithmeticMeet) {
  const Roofline roofline{2, 20e9, {{"F32", 160e9}, {"int8", 640e9}}};
  EXPECT_DOUBLE_EQ(roofline.ridge(roofline.ceilings[0]), 8);
  EXPECT_DOUBLE_EQ(roofline.ridge(roofline.ceilings[1]), 32);
}

TEST(RooflineSvg, EqualFactorsAreEqualLengths) {
  const Roofline roofline{2,
                          20e9,
                          {{"F32", 160e9}, {"int8", 640e9}},
                          {{"on the slope <1>", 2, 40e9, 1}, {"grey", 8, 160e9, 0}}};
  const std::string svg = roofline_svg(roofline);
  const std::vector<Circle> ridges = circles(svg, "3\" class=\"ridge\"");
  ASSERT_EQ(ridges.size(), 2U);
  const std::vector<Circle> point = circles(svg, "3\\.5\"");
  const std::vector<Circle> grey = circles(svg, "2\\.5\"");
  ASSERT_EQ(point.size(), 1U);
  ASSERT_EQ(grey.size(), 1U);
  // A factor of four each in both directions: coordinates are rounded to tenths.
  EXPECT_NEAR(ridges[1].x - ridges[0].x, ridges[0].x - point[0].x, 0.21);
  EXPECT_NEAR(ridges[1].y - ridges[0].y, ridges[0].y - point[0].y, 0.21);
  EXPECT_LT(ridges[1].y, ridges[0].y);
  EXPECT_EQ(grey[0].x, ridges[0].x);
  EXPECT_EQ(grey[0].y, ridges[0].y);
  for (const Circle& c : circles(svg, "")) {
    EXPECT_GE(c.x, 0);
    EXPECT_LE(c.x, 400);
    EXPECT_GE(c.y, 0);
    EXPECT_LE(c.y, 300);
  }
  EXPECT_THAT(svg, HasSubstr("on the slope &lt;1&gt;: 40.0"));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

TEST(RooflineSvg, NothingIsNoPlot) { EXPECT_EQ(roofline_svg({1, 1e9, {}}), ""); }

}  // namespace
}  // namespace reprise
