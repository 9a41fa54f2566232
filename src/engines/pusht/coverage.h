#pragma once

#include "engines/pusht/pusht_geometry.h"

namespace reprise {

// Share of the goal's area that the block covers, 0 to 1. Throws Error as check_pusht_state.
double coverage(const PushtState& state);

// Beyond it the task is solved.
inline constexpr double kSolvedCoverage = 0.95;
inline bool is_solved(double coverage) { return coverage > kSolvedCoverage; }
// What a control step is worth, 0 to 1; an episode's score is its best step's.
double pusht_reward(double coverage);

// Area of the intersection of two convex polygons, by clipping one at the other's edges
// (Sutherland and Hodgman, CACM 1974).
double intersection_area(const Quad& a, const Quad& b);

}  // namespace reprise
