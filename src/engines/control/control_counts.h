#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace reprise {

// Denoiser steps by how many of their branches were computed.
enum class StepClass : uint8_t { kAll, kSome, kNone };

// Normalised observations of the training set lie in [-1, 1]; those beyond this are counted.
inline constexpr float kUsualObservation = 1.5F;

// What calls of a diffusion policy did.
struct ControlCounts {
  struct Steps {
    int64_t n = 0;       // of one robot each
    double seconds = 0;  // of all threads together
  };

  int64_t n_calls = 0;
  int64_t n_chunks = 0;  // robots of all calls
  int64_t n_branches_computed = 0;
  int64_t n_branches_reused = 0;
  double flops = 0;              // analytic, of all that was computed
  double saved_flops = 0;        // of the reused branches
  std::array<Steps, 3> steps{};  // by StepClass
  int64_t n_obs_outside = 0;     // normalised values beyond kUsualObservation
  double total_s = 0;            // in calls

  int64_t n_steps() const { return steps[0].n + steps[1].n + steps[2].n; }
  // How many whole forwards the computed branches of a chunk make up.
  double evaluations_per_chunk(int32_t n_branches) const {
    return n_chunks == 0 ? 0
                         : static_cast<double>(n_branches_computed) /
                               (static_cast<double>(n_chunks) * n_branches);
  }
  // Adds what one step of n robots did, and how long it took.
  void add_step(const ControlCounts& of_one, int64_t n_robots, double seconds);
  // Adds another's branches, flops and steps: what threads count for themselves.
  void add_work(const ControlCounts& other);
};

}  // namespace reprise
