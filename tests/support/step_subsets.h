#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace reprise::test {

// The best of all choices of n_updates steps out of 0..n_steps - 1 that hold 0; the first of equal
// ones, in rising order of steps. `worth`: more is better.
inline std::vector<int32_t> best_subset(
    int32_t n_steps, int32_t n_updates,
    const std::function<double(const std::vector<int32_t>&)>& worth) {
  std::vector<int32_t> best;
  double most = 0;
  for (uint32_t bits = 1; bits < uint32_t{1} << n_steps; bits += 2) {
    std::vector<int32_t> steps;
    for (int32_t k = 0; k < n_steps; ++k) {
      if (((bits >> k) & 1U) != 0) steps.push_back(k);
    }
    if (static_cast<int32_t>(steps.size()) != n_updates) continue;
    const double value = worth(steps);
    if (best.empty() || value > most) {
      best = steps;
      most = value;
    }
  }
  return best;
}

}  // namespace reprise::test
