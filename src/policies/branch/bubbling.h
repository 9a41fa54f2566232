#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "policies/branch/branch_schedule.h"

namespace reprise {

// The Bubbling Union Algorithm: each of the n most volatile branches is also computed whenever a
// feed-forward branch of its own or a later layer is, so that those are not computed from a stale
// sum. Equally volatile branches rank as they are executed. Does nothing for n < 2, as the
// authors' code. volatility: [n_branches], finite; 0 <= n <= n_branches.
// Source: arXiv 2506.13456 and its authors' code, which counts the same layer's feed-forward branch
// as a later one; the paper does not say.
void bubble_up(std::span<const double> volatility, int32_t n, BranchSchedule& schedule);

// The n most volatile branches, the most volatile first.
std::vector<int32_t> most_volatile(std::span<const double> volatility, int32_t n);

}  // namespace reprise
