#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engines/control/diffusion_policy.h"
#include "engines/pusht/pusht_world.h"

namespace reprise {

// How episodes of Push-T are run. The defaults are the published protocol.
struct PushtRunOptions {
  uint32_t first_seed = 100000;  // of the episodes' beginnings, which count up
  int32_t n_seeds = 50;
  int32_t n_max_steps = kPushtMostSteps;  // control steps of an episode
  int32_t n_batch = 64;                   // episodes that ask for chunks together
};

struct PushtEpisode {
  uint32_t seed = 0;
  double score = 0;        // best reward of its steps, 0 to 1
  bool is_solved = false;  // covered the goal, which ended it
  int32_t n_steps = 0;
  int32_t n_chunks = 0;
};

// What is told while episodes run; any may be empty.
struct PushtEvents {
  // An episode, once a chunk was carried out, and the observations [To][Do] it was made from.
  std::function<void(const PushtEpisode& episode, std::span<const float> obs)> on_chunk = {};
  // Asked before every round of chunks; true ends the run, and the episodes come back as they are.
  std::function<bool()> is_cancelled = {};
};

// Runs episodes in lock-step; time stops while chunks are made. Chunk i of an episode has the noise
// of (seed, i), whatever the policy is, so that runs of several can be paired. Throws Error when
// the policy does not fit Push-T.
std::vector<PushtEpisode> run_pusht(DiffusionPolicy& policy, const PushtRunOptions& options,
                                    const PushtEvents& events = {});

// Where observations for action errors begin, and over how many chunks of an episode they spread:
// seeds that no evaluation and no calibration use.
inline constexpr uint32_t kErrorSeed = 200000;
inline constexpr int32_t kErrorSpread = 16;

// Observations [To][Do] out of closed-loop episodes of this policy, for calibration and comparison:
// one a seed, taken after 0, 1, ..., n_spread - 1 chunks in turn so that all phases occur (earlier
// where an episode ends before). Those of a cancelled run may be empty. Throws Error as run_pusht.
std::vector<std::vector<float>> pusht_observations(DiffusionPolicy& policy, uint32_t first_seed,
                                                   int32_t n, int32_t n_spread,
                                                   const PushtEvents& events = {});

}  // namespace reprise
