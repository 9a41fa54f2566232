#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/bench_report.h"

namespace reprise {

struct ControlBenchOptions {
  std::string model = "pusht-demo";  // path or name
  int32_t n_threads = 0;             // 0: all usable cores
  int32_t n_rounds = 9;
  std::vector<int32_t> batches = {1, 8, 32};  // robots of one call
  int32_t n_observations = 32;                // that action errors are taken on
  std::string observations_file;              // where they were recorded; empty: Push-T's
  std::string python;                         // that has torch and diffusers; empty: no such peer
  std::filesystem::path peer_script;
};

// Chunks of one robot policy: everything computed, in every weight type; BAC and its controls;
// fewer steps; the same network in PyTorch; all taking turns in every round. Beside them the action
// error against everything in F32 on the same observations and noise, the F32 arithmetic bound,
// FLOPs and memory. A weight type that cannot hold the policy is left out with a note. `on_turn` is
// told before every turn and may throw to stop. Throws Error.
BenchReport bench_control(const ControlBenchOptions& options, const std::function<void()>& on_turn);

}  // namespace reprise
