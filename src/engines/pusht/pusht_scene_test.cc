#include "engines/pusht/pusht_scene.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "core/error.h"
#include "core/split_mix.h"
#include "engines/pusht/coverage.h"
#include "engines/pusht/pixel_font.h"

namespace reprise {
namespace {

using Colors = PushtColors;

constexpr PushtState kFarApart = {{60, 60}, {420, 60}, 0.3};

Color at(const Picture& picture, int32_t x, int32_t y) {
  const uint8_t* pixel = picture.pixel(x, y);
  return {pixel[0], pixel[1], pixel[2]};
}

int64_t count(const Picture& picture, Color color) {
  int64_t n = 0;
  for (int32_t y = 0; y < picture.height; ++y)
    for (int32_t x = 0; x < picture.width; ++x) n += at(picture, x, y) == color ? 1 : 0;
  return n;
}

TEST(PushtScene, ShowsEverythingAtItsPlace) {
  PushtScene scene{kFarApart, Vec2{100, 300}, {{200, 100}, {240, 100}, {280, 100}}, "", "", 0, 0};
  const Picture picture = draw_pusht(scene, 512);
  EXPECT_EQ(picture.width, 512);
  EXPECT_EQ(picture.height, 512);
  EXPECT_EQ(picture.rgb.size(), 3U * 512 * 512);
  EXPECT_EQ(at(picture, 256, 5), Colors::kWall);
  EXPECT_EQ(at(picture, 506, 256), Colors::kWall);
  EXPECT_EQ(at(picture, 1, 1), Colors::kBackground);
  EXPECT_EQ(at(picture, 60, 60), Colors::kAgent);
  EXPECT_EQ(at(picture, 60, 73), Colors::kAgent);
  EXPECT_EQ(at(picture, 60, 78), Colors::kBackground);
  // In the middle of the goal's bar: 15 px below its outer edge, along its own axis.
  const Vec2 bar = kGoalBlock + Rotation(kGoalAngle).apply({0, 15});
  EXPECT_EQ(at(picture, static_cast<int32_t>(bar.x), static_cast<int32_t>(bar.y)), Colors::kGoal);
  const Vec2 stem = kFarApart.block + Rotation(kFarApart.angle).apply({0, 100});
  EXPECT_EQ(at(picture, static_cast<int32_t>(stem.x), static_cast<int32_t>(stem.y)),
            blend(Colors::kBackground, Colors::kBlock, Colors::kBlockOpacity));
  // The hollow beside the stem belongs to no T.
  const Vec2 hollow = kGoalBlock + Rotation(kGoalAngle).apply({40, 75});
  EXPECT_EQ(at(picture, static_cast<int32_t>(hollow.x), static_cast<int32_t>(hollow.y)),
            Colors::kBackground);
  EXPECT_EQ(at(picture, 100, 300), Colors::kTarget);
  EXPECT_EQ(at(picture, 200, 100), Colors::kPlanFirst);
  EXPECT_EQ(at(picture, 280, 100), Colors::kPlanLast);
}

TEST(PushtScene, PlanGoesFromDarkToLight) {
  PushtScene scene{kFarApart, {}, {}, "", "", 0, 0};
  for (int i = 0; i < 8; ++i) scene.planned.push_back({50.0 + 40 * i, 450});
  const Picture picture = draw_pusht(scene, 512);
  for (int i = 1; i < 8; ++i) {
    const Color before = at(picture, 50 + 40 * (i - 1), 450);
    const Color now = at(picture, 50 + 40 * i, 450);
    for (size_t c = 0; c < 3; ++c) EXPECT_LT(before[c], now[c]) << i;
  }
}

// The goal's axis is the diagonal from the lower left to the upper right: a scene whose block lies
// on it is its own mirror image, but for the walls, which are not in the middle of the window.
TEST(PushtScene, IsAsSymmetricAsTheGoal) {
  const PushtScene scene{
      {{120, 392}, {310, 202}, kGoalAngle + std::numbers::pi}, {}, {}, "", "", 0, 0};
  for (const int32_t size : {512, 96}) {
    const Picture picture = draw_pusht(scene, size);
    const int32_t walls = size / 32;
    int64_t n_different = 0;
    for (int32_t y = walls; y < size - walls; ++y) {
      for (int32_t x = walls; x < size - walls; ++x) {
        const Color a = at(picture, x, y);
        const Color b = at(picture, size - 1 - y, size - 1 - x);
        // Shares are computed from rounded sines: the last bit of a colour may differ.
        for (size_t c = 0; c < 3; ++c) n_different += std::abs(a[c] - b[c]) > 1 ? 1 : 0;
      }
    }
    EXPECT_EQ(n_different, 0) << size;
  }
}

TEST(PushtScene, CountedPixelsCoverWhatTheFormulaSays) {
  SplitMix64 random(5);
  const int32_t size = 1024;
  // A pixel has an area of a quarter; those that an edge runs through are counted for neither. Two
  // edges, of the overlap's outline, at most 480 px long each, are wrong by half a pixel's width
  // either side and by the goal's edge line of 2 px, of which one lies inside.
  const double tolerance = 480 * (1 + 0.5) / kBlockArea;
  const Color both = blend(Colors::kGoal, Colors::kBlock, Colors::kBlockOpacity);
  for (int i = 0; i < 12; ++i) {
    const PushtState state = {{30, 30},
                              {216 + 80 * random.uniform(), 216 + 80 * random.uniform()},
                              kGoalAngle + 0.6 * (random.uniform() - 0.5)};
    const Picture picture = draw_pusht({state, {}, {}, "", "", 0, 0}, size);
    const double counted = static_cast<double>(count(picture, both)) / 4 / kBlockArea;
    const double exact = coverage(state);
    EXPECT_LE(counted, exact + 1e-3) << i;
    EXPECT_NEAR(counted, exact, tolerance) << i;
  }
  // Nothing covered: the whole goal but for its edge line is seen.
  const Picture apart = draw_pusht({kFarApart, {}, {}, "", "", 0, 0}, size);
  EXPECT_EQ(count(apart, both), 0);
  EXPECT_NEAR(static_cast<double>(count(apart, Colors::kGoal)) / 4, kBlockArea, 480 * 1.5);
}

TEST(PushtScene, EdgesAreSmooth) {
  const Picture picture = draw_pusht({kFarApart, {}, {}, "", "", 0, 0}, 512);
  // Its area in pixels, each weighted by its share of the agent's colour.
  double area = 0;
  const double whole = Colors::kAgent[0] - Colors::kBackground[0];
  for (int32_t y = 40; y < 80; ++y)
    for (int32_t x = 40; x < 80; ++x)
      area += (at(picture, x, y)[0] - Colors::kBackground[0]) / whole;
  // Rounding of colours: half a level of 250 in each of some 95 pixels on the edge.
  EXPECT_NEAR(area, std::numbers::pi * kAgentRadius * kAgentRadius, 1.0);
}

TEST(PushtScene, BarIsFilledAsFarAsTheScore) {
  const auto filled = [](double score) {
    return count(draw_pusht({kFarApart, {}, {}, "seed 7", "full", score, 0}, 512), Colors::kBar);
  };
  const int64_t whole = filled(1);
  EXPECT_GT(whole, 1000);
  EXPECT_LE(filled(0), 0);
  EXPECT_NEAR(static_cast<double>(filled(0.5)), 0.5 * static_cast<double>(whole), 14);
  EXPECT_EQ(filled(7), whole);
}

TEST(PushtScene, CaptionTakesAStripBelow) {
  PushtScene scene{kFarApart, Vec2{100, 511}, {}, "", "", 0.5, 0.8};
  const Picture without = draw_pusht(scene, 512);
  scene.caption = "seed 100000";
  const Picture with = draw_pusht(scene, 512);
  EXPECT_EQ(with.height, pusht_picture_height(512, true));
  EXPECT_EQ(with.height % 2, 0);
  EXPECT_GT(with.height, 512);
  EXPECT_TRUE(std::equal(without.rgb.begin(), without.rgb.end(), with.rgb.begin()));
  EXPECT_GT(count(with, Colors::kText), 100);
}

TEST(PushtScene, DrawsWhatLiesOutsideAndRefusesWhatIsNoPlace) {
  draw_pusht({{{-1e5, 900}, {1e6, -1e6}, 4e5}, Vec2{1e300, -1e300}, {{-1e9, 3}}, "x", "", 0, 0},
             512);
  EXPECT_EQ(draw_pusht({kFarApart, {}, {}, "x", "", 0, 0}, 16).width, 16);
  EXPECT_THROW(draw_pusht({kFarApart, {}, {}, "", "", 0, 0}, 15), Error);
  EXPECT_THROW(draw_pusht({kFarApart, {}, {}, "", "", 0, 0}, 5000), Error);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(draw_pusht({{{nan, 0}, {0, 0}, 0}, {}, {}, "", "", 0, 0}, 512), Error);
}

TEST(PixelFont, WritesCapitalsAndMarksWhatItLacks) {
  const auto drawn = [](std::string_view text) {
    ShapePainter painter(60, 9, {255, 255, 255});
    draw_text(painter, 1, 1, 1, text, {0, 0, 0});
    return painter.take();
  };
  EXPECT_EQ(drawn("seed").rgb, drawn("SEED").rgb);
  EXPECT_NE(drawn("O").rgb, drawn("0").rgb);
  EXPECT_EQ(drawn("~").rgb, drawn("\xc3").rgb);
  EXPECT_NE(drawn("~").rgb, drawn(" ").rgb);
  EXPECT_EQ(drawn(" ").rgb, drawn("").rgb);
  EXPECT_EQ(count(drawn("1."), {0, 0, 0}), 10 + 4);
  EXPECT_EQ(text_width("ab", 2), 22);
}

}  // namespace
}  // namespace reprise
