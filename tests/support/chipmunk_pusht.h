#pragma once

#include <memory>

#include "engines/pusht/pusht_world.h"

namespace reprise {

// The Push-T scene in Chipmunk itself, built with its public calls as gym-pusht builds it through
// pymunk. The oracle of PushtWorld; same meaning of every argument, no check of any.
class ChipmunkPusht {
 public:
  explicit ChipmunkPusht(const PushtState& state, PlacedBy placed_by = PlacedBy::kLegacy);
  ~ChipmunkPusht();
  ChipmunkPusht(const ChipmunkPusht&) = delete;
  ChipmunkPusht& operator=(const ChipmunkPusht&) = delete;

  void control(Vec2 target);
  PushtState state() const;

 private:
  struct Space;
  std::unique_ptr<Space> space_;
};

}  // namespace reprise
