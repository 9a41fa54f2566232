#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "engines/pusht/pusht_geometry.h"

namespace reprise {

// A rectangle along the axes, borders included.
struct Box {
  Vec2 low, high;

  bool holds(const Box& other) const;
  bool meets(const Box& other) const;
};

// Two shapes that may touch: a part of the block and a wall (0..3) or the agent.
struct PushtPair {
  static constexpr int32_t kAgent = 4;

  int32_t i_part = 0;
  int32_t i_other = 0;
};

class PushtPairs {
 public:
  void add(PushtPair pair) { pairs_[n_++] = pair; }
  std::span<const PushtPair> all() const { return std::span(pairs_).first(n_); }

 private:
  std::array<PushtPair, 10> pairs_;  // two parts, five others each
  size_t n_ = 0;
};

// The boxes of the four walls: left, top (y = 5), right, bottom.
extern const std::array<Box, 4> kWallBoxes;

// The order in which Chipmunk finds pairs. Its solver goes over them one after the other, so that
// a block held between agent and wall moves differently in another order. It keeps the moving
// shapes in a tree of boxes, grown by what they may move; a shape that left its box goes into the
// tree anew and asks for its neighbours, the others remember theirs.
// This is that tree (cpBBTree.c of 7.0.3) for the three moving shapes of the scene, whose walls
// come first in it; what never touches (parts of one body, agent and walls) is left out.
class ContactOrder {
 public:
  // As the environment adds its shapes: the agent at (256, 400), the block at (256, 300).
  ContactOrder();

  // The shapes' boxes and velocities (px/s) now. Pairs whose boxes do not meet may be among those
  // given back; those who touch are.
  struct Moving {
    Box box;
    Vec2 velocity;
  };
  PushtPairs update(const std::array<Moving, 2>& parts, const Moving& agent);

 private:
  // Shapes are numbered as in PushtPair, parts behind the agent: walls 0..3, agent 4, bar 5,
  // stem 6.
  struct Neighbour {
    int32_t shape = 0;
    bool reports = false;  // the one of a pair that gives it out
  };
  struct Leaf {
    Box box;  // grown
    bool is_fresh = false;
    std::array<Neighbour, 5> neighbours;  // the newest first
    int32_t n_neighbours = 0;
  };

  Leaf& leaf(int32_t shape);
  void reinsert(int32_t shape, const Moving& moving);
  void report(int32_t shape, PushtPairs& pairs);
  void report_fresh(int32_t shape, PushtPairs& pairs);
  void add_neighbour(int32_t shape, int32_t other, bool reports);
  void remove_neighbour(int32_t shape, int32_t other);

  std::array<Leaf, 3> leaves_;  // agent, bar, stem
  // From left to right. Two of them are siblings, the third is their parent's: those to the left
  // or those to the right.
  std::array<int32_t, 3> order_;
  bool siblings_are_left_ = false;
};

}  // namespace reprise
