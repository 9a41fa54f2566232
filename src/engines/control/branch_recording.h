#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engines/control/diffusion_policy.h"

namespace reprise {

// Every branch output of one robot's call, as it joined the rows: where a branch was not computed,
// its last computed output once more.
class BranchRecording {
 public:
  // n_values: rows of a robot x d.
  BranchRecording(BranchShape shape, int32_t n_values);

  // Runs the request with this policy alone and records it. Throws Error as act().
  ActionChunk record(DiffusionPolicy& policy, const ChunkRequest& request);

  // [K][n_values] of branch b, in the steps' order.
  std::span<const float> steps_of(int32_t b) const;
  // [n_values]
  std::span<const float> output(int32_t b, int32_t k) const;

 private:
  size_t at(int32_t b, int32_t k) const {
    return (static_cast<size_t>(b) * shape_.n_steps + k) * n_values_;
  }

  BranchShape shape_;
  int32_t n_values_;
  std::vector<float> values_;  // [n_branches][K][n_values]
};

}  // namespace reprise
