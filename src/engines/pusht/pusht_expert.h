#pragma once

#include <cstdint>
#include <vector>

#include "core/split_mix.h"
#include "engines/pusht/push_plan.h"

namespace reprise {

// What was seen before each action, and the action. The last state, behind the last action, is not
// in it.
struct PushtDemonstration {
  struct Step {
    PushtState state;
    Vec2 action;  // inside the window
  };
  std::vector<Step> steps;  // kPushtMostSteps at most
  bool is_solved = false;
  double best_coverage = 0;
};

struct PushtExpertOptions {
  Lookahead lookahead = Lookahead::kOnePush;
  // Share of the actions that are carried out with an error, normal with this deviation in px and
  // in each axis. Not recorded: the demonstrations show how to recover.
  double noise_share = 0;
  double noise_px = 0;
  uint64_t seed = 0;  // of the noise
};

// Solves Push-T: plans one push in copies of the world, goes to its start around the block, pushes,
// draws back, plans again. The closer the block, the finer the steps. It sees the whole state and
// knows what it is about to do, which a policy trained on it does not.
class PushtExpert {
 public:
  // Throws Error unless noise_share is in [0, 1] and noise_px in [0, 100].
  explicit PushtExpert(const PushtExpertOptions& options);

  // From the start until the task is solved, or kPushtMostSteps.
  PushtDemonstration demonstrate(const PushtWorld& start);

 private:
  PushtExpertOptions options_;
  SplitMix64 random_;
};

}  // namespace reprise
