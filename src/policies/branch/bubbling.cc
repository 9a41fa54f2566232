#include "policies/branch/bubbling.h"

#include <algorithm>
#include <cassert>
#include <numeric>

namespace reprise {

std::vector<int32_t> most_volatile(std::span<const double> volatility, int32_t n) {
  assert(n >= 0 && n <= std::ssize(volatility));
  std::vector<int32_t> branches(volatility.size());
  std::iota(branches.begin(), branches.end(), 0);
  std::ranges::stable_sort(branches, [&](int32_t a, int32_t b) {
    return volatility[static_cast<size_t>(a)] > volatility[static_cast<size_t>(b)];
  });
  branches.resize(static_cast<size_t>(n));
  return branches;
}

void bubble_up(std::span<const double> volatility, int32_t n, BranchSchedule& schedule) {
  if (n < 2) return;
  const BranchSchedule before = schedule;
  const BranchShape& shape = before.shape();
  for (const int32_t b : most_volatile(volatility, n)) {
    for (int32_t layer = shape.layer_of(b); layer < shape.n_layers; ++layer) {
      for (const int32_t k : before.steps_of(shape.feed_forward_of(layer)))
        schedule.set(b, k, true);
    }
  }
}

}  // namespace reprise
