#include "cli/picture_view.h"

#include <gtest/gtest.h>

#include <array>
#include <tuple>

namespace reprise {
namespace {

Picture picture(int32_t width, int32_t height, std::vector<uint8_t> rgb) {
  return {width, height, std::move(rgb)};
}

TEST(PictureLines, PutTwoRowsInOne) {
  const auto lines = picture_lines(picture(1, 2, {1, 2, 3, 40, 50, 60}), TerminalColors::kTrue);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0], "\x1b[38;2;1;2;3;48;2;40;50;60m▀\x1b[0m");
}

TEST(PictureLines, ShareCodesOfEqualNeighbours) {
  const auto lines =
      picture_lines(picture(3, 2, std::vector<uint8_t>(18, 7)), TerminalColors::kTrue);
  EXPECT_EQ(lines[0], "\x1b[38;2;7;7;7;48;2;7;7;7m▀▀▀\x1b[0m");
}

TEST(PictureLines, EndOddHeightsInTheTerminalsBackground) {
  const auto lines =
      picture_lines(picture(1, 3, {0, 0, 0, 0, 0, 0, 9, 9, 9}), TerminalColors::kTrue);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[1], "\x1b[38;2;9;9;9m▀\x1b[0m");
}

TEST(PictureLines, TakeTheNearestOf256) {
  // Published values of xterm's palette.
  const std::tuple<std::array<uint8_t, 3>, int> cases[] = {
      {{0, 0, 0}, 16},  {{255, 255, 255}, 231}, {{255, 0, 0}, 196},     {{95, 135, 175}, 67},
      {{8, 8, 8}, 232}, {{238, 238, 238}, 255}, {{120, 124, 130}, 244}, {{0, 158, 120}, 36}};
  for (const auto& [rgb, want] : cases) {
    const auto lines = picture_lines(picture(1, 1, {rgb[0], rgb[1], rgb[2]}), TerminalColors::k256);
    EXPECT_EQ(lines[0], "\x1b[38;5;" + std::to_string(want) + "m▀\x1b[0m");
  }
}

}  // namespace
}  // namespace reprise
