#pragma once

#include <cstddef>
#include <cstdint>

namespace reprise {

// The upper triangle of a symmetric [K][K] matrix, diagonal included, row by row.
struct StepPairs {
  int32_t n_steps = 0;  // K

  size_t size() const {
    const auto n = static_cast<size_t>(n_steps);
    return n * (n + 1) / 2;
  }
  // Of steps i <= j < K.
  size_t at(int32_t i, int32_t j) const {
    const auto row = static_cast<size_t>(i);
    return row * static_cast<size_t>(n_steps) - row * (row + 1) / 2 + static_cast<size_t>(j);
  }
};

}  // namespace reprise
