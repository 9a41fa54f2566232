#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace reprise {

// How alike the outputs of a branch are at every two steps, and which way is better.
struct StepMatrix {
  std::span<const double> values;  // [K][K]
  int32_t n_steps = 0;             // K
  bool is_distance = false;        // small where steps are alike
};

// The Adaptive Caching Scheduler: n_updates steps, rising from 0, for which the output of each step
// and of every step it stands in for, up to the next update, are most alike in sum. Exact, by
// dynamic programming in O(n_updates K^2) with prefix sums; of equal schedules the one whose last
// segments begin first. 1 <= n_updates <= K and finite values are checked by those who know
// where they came from.
// Source: "Block-wise Adaptive Caching for Accelerating Diffusion Policy", arXiv 2506.13456, in the
// form of its authors' code: a segment is judged by its update, not by neighbouring steps.
std::vector<int32_t> adaptive_cache_steps(const StepMatrix& matrix, int32_t n_updates);

}  // namespace reprise
