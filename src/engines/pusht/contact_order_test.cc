#include "engines/pusht/contact_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "core/split_mix.h"

namespace reprise {
namespace {

using Moving = ContactOrder::Moving;

Moving at(Vec2 low, Vec2 high, Vec2 velocity = {}) { return {{low, high}, velocity}; }

// "b0 sA": bar and wall 0, then stem and agent.
std::string shown(const PushtPairs& pairs) {
  std::string out;
  for (const PushtPair& pair : pairs.all()) {
    if (!out.empty()) out += ' ';
    out += pair.i_part == 0 ? 'b' : 's';
    out += pair.i_other == PushtPair::kAgent ? 'A' : static_cast<char>('0' + pair.i_other);
  }
  return out;
}

// The scene as the environment adds it; the agent's and the stem's grown boxes meet.
const std::array<Moving, 2> kParts = {at({196, 300}, {316, 330}), at({241, 330}, {271, 420})};
const Moving kAgentAtStart = at({241, 385}, {271, 415});

TEST(ContactOrder, StartsWithThePairsOfTheScene) {
  ContactOrder order;
  EXPECT_EQ(shown(order.update(kParts, kAgentAtStart)), "sA");
  EXPECT_EQ(shown(order.update(kParts, kAgentAtStart)), "sA");
}

// Worked by hand from cpBBTree.c.
TEST(ContactOrder, TheNewestNeighbourComesFirst) {
  ContactOrder order;
  // The agent left its box. It costs least beside the bar, left of it, so that the bar reports.
  EXPECT_EQ(shown(order.update(kParts, at({300, 310}, {330, 340}))), "bA");
  EXPECT_EQ(shown(order.update(kParts, at({300, 310}, {330, 340}))), "bA");
  const std::array<Moving, 2> left = {at({2, 300}, {122, 330}), kParts[1]};
  EXPECT_EQ(shown(order.update(left, at({300, 310}, {330, 340}))), "b0");
  // Found by the agent after the wall.
  EXPECT_EQ(shown(order.update(left, at({100, 310}, {130, 340}))), "bA b0");
  EXPECT_EQ(shown(order.update(left, at({100, 310}, {130, 340}))), "bA b0");
  // The bar leaves its box: it asks the walls first, and stands left of the agent, which reports.
  const std::array<Moving, 2> up = {at({2, 285}, {122, 315}), kParts[1]};
  EXPECT_EQ(shown(order.update(up, at({100, 310}, {130, 340}))), "b0 bA");
  EXPECT_EQ(shown(order.update(up, at({100, 310}, {130, 340}))), "b0 bA");
}

TEST(ContactOrder, WallsComeFromTheLastOn) {
  ContactOrder order;
  const std::array<Moving, 2> corner = {at({4, 4}, {124, 34}), at({49, 34}, {79, 124})};
  EXPECT_EQ(shown(order.update(corner, kAgentAtStart)), "b1 b0");
  // Remembered in the order in which they came, the last one first.
  EXPECT_EQ(shown(order.update(corner, kAgentAtStart)), "b0 b1");
}

// Whatever the tree looks like: who touches is given out, exactly once.
TEST(ContactOrder, NoTouchIsMissed) {
  SplitMix64 random(3);
  ContactOrder order;
  Vec2 places[3] = {{256, 400}, {256, 300}, {256, 375}};
  const Vec2 sizes[3] = {{15, 15}, {60, 15}, {15, 45}};
  for (int32_t i = 0; i < 20'000; ++i) {
    const double step = i % 100 == 0 ? 500 : 12;  // creeps, and jumps at times
    for (Vec2& place : places) {
      place = {std::clamp(place.x + step * (random.uniform() - 0.5), 20.0, 490.0),
               std::clamp(place.y + step * (random.uniform() - 0.5), 20.0, 490.0)};
    }
    const Vec2 velocity{400 * (random.uniform() - 0.5), 400 * (random.uniform() - 0.5)};
    Box boxes[3];
    for (int32_t k = 0; k < 3; ++k) boxes[k] = {places[k] - sizes[k], places[k] + sizes[k]};
    const PushtPairs pairs =
        order.update({{{boxes[1], velocity}, {boxes[2], velocity}}}, {boxes[0], velocity});
    for (int32_t i_part = 0; i_part < 2; ++i_part) {
      for (int32_t i_other = 0; i_other <= PushtPair::kAgent; ++i_other) {
        const auto n = std::ranges::count_if(pairs.all(), [&](const PushtPair& pair) {
          return pair.i_part == i_part && pair.i_other == i_other;
        });
        const Box& other = i_other == PushtPair::kAgent ? boxes[0] : kWallBoxes[i_other];
        ASSERT_LE(n, 1) << "update " << i;
        if (boxes[1 + i_part].meets(other)) {
          ASSERT_EQ(n, 1) << "update " << i;
        }
      }
    }
  }
}

}  // namespace
}  // namespace reprise
