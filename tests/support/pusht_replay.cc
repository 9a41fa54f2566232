// Reads from standard input a start, five numbers (agent x, y, block x, y, angle; placed the legacy
// way), then pairs of numbers, actions. Prints agent x, y, block x, y, angle and coverage after the
// start and after every action, a line each.

#include <fmt/format.h>

#include <iostream>

#include "engines/pusht/coverage.h"
#include "engines/pusht/pusht_world.h"

int main() {
  const auto print = [](const reprise::PushtState& s) {
    fmt::print("{} {} {} {} {} {}\n", s.agent.x, s.agent.y, s.block.x, s.block.y, s.angle,
               reprise::coverage(s));
  };
  try {
    reprise::PushtState start;
    std::cin >> start.agent.x >> start.agent.y >> start.block.x >> start.block.y >> start.angle;
    reprise::PushtWorld world(start);
    print(world.state());
    for (reprise::Vec2 action; std::cin >> action.x >> action.y;) {
      world.control(action);
      print(world.state());
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "pusht_replay: {}\n", error.what());
    return 1;
  }
}
