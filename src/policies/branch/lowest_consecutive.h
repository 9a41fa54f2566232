#pragma once

#include <vector>

#include "policies/branch/acs.h"
#include "policies/registry.h"

namespace reprise {

// Step 0 and the n_updates - 1 steps least like the one before them, rising; of equal ones the
// first. This is the optimum of the objective that BAC's paper is reported to print, a sum of
// similarities of neighbouring steps: it is the sum of all of them less those of the chosen steps,
// and nothing keeps the chosen ones apart. Source: arXiv 2506.13456.
std::vector<int32_t> lowest_consecutive_steps(const StepMatrix& matrix, int32_t n_updates);

extern const PolicyEntry kLowestConsecutiveBranch;

}  // namespace reprise
