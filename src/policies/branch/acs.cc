#include "policies/branch/acs.h"

#include <algorithm>
#include <cassert>
#include <cstddef>

namespace reprise {
namespace {

// [K][K]: at [last][first], what a segment that is computed at `first` and serves first..last is
// worth; more is better. Below the diagonal only.
std::vector<double> segment_worth(const StepMatrix& matrix) {
  const auto n = static_cast<size_t>(matrix.n_steps);
  std::vector<double> worth(n * n);
  for (size_t first = 0; first < n; ++first) {
    double sum = 0;
    for (size_t last = first; last < n; ++last) {
      sum += matrix.values[first * n + last];
      worth[last * n + first] = matrix.is_distance ? -sum : sum;
    }
  }
  return worth;
}

}  // namespace

std::vector<int32_t> adaptive_cache_steps(const StepMatrix& matrix, int32_t n_updates) {
  const auto n = static_cast<size_t>(matrix.n_steps);
  const auto n_segments = static_cast<size_t>(n_updates);
  assert(matrix.values.size() == n * n && n_updates >= 1 && n_segments <= n);
  const std::vector<double> worth = segment_worth(matrix);
  // best[i]: of the steps 0..i in `segments` segments; starts[segments][i]: where the last of these
  // begins.
  std::vector<double> best(n);
  std::vector<double> next(n);
  std::vector<int32_t> starts(n_segments * n, 0);
  for (size_t i = 0; i < n; ++i) best[i] = worth[i * n];
  for (size_t segments = 1; segments < n_segments; ++segments) {
    for (size_t i = segments; i < n; ++i) {
      const double* const row = &worth[i * n];
      size_t start = segments;  // each segment before it holds a step at least
      double most = best[start - 1] + row[start];
      for (size_t at = start + 1; at <= i; ++at) {
        const double value = best[at - 1] + row[at];
        if (value > most) {
          most = value;
          start = at;
        }
      }
      next[i] = most;
      starts[segments * n + i] = static_cast<int32_t>(start);
    }
    std::swap(best, next);
  }
  std::vector<int32_t> steps(n_segments);
  for (size_t segments = n_segments, last = n - 1; segments-- > 0;) {
    steps[segments] = starts[segments * n + last];
    last = static_cast<size_t>(std::max(steps[segments] - 1, 0));
  }
  return steps;
}

}  // namespace reprise
