#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engines/pusht/named_motions.h"

namespace reprise {

// How PushtWorld and Chipmunk agree. Differences are the largest of any control step: px of the
// agent or of the block's outline.
struct ConformanceReport {
  struct Motion {
    std::string name;
    double largest_difference = 0;
  };
  std::vector<Motion> motions;  // the named ones

  // Of the scripted expert, one push ahead, from the legacy seeds 0, 1, ...
  int32_t n_episodes = 0;
  double share_within_1e6 = 0;  // of the episodes: largest difference at most 1e-6
  double share_within_1e3 = 0;
  double largest_difference = 0;
  double solved_share = 0;            // by the expert in PushtWorld
  double replayed_success_share = 0;  // of its action sequences, solved in Chipmunk, too

  // Random targets all over the window, which wedge the block between agent and walls: there the
  // order of contacts decides. Reported; nothing is promised.
  int32_t n_wedged = 0;
  double wedged_share_within_1e5 = 0;
  double wedged_largest_difference = 0;
};

double motion_difference(const NamedMotion& motion);
ConformanceReport pusht_conformance(int32_t n_episodes);

}  // namespace reprise
