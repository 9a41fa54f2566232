#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/bench_report.h"
#include "engines/control/policy_bench_peer.h"

namespace reprise {

inline constexpr const char* kBenchBac5 = "bac:updates=10,bubbling=5";
inline constexpr const char* kBenchBac3 = "bac:updates=10,bubbling=3";

// What was measured of one way of making chunks.
struct ControlBenchSide {
  std::string subject;                           // "ddpm full, f32"
  std::vector<std::vector<double>> call_s = {};  // [batches][rounds]
  double flops = 0;                              // of a chunk
  double evaluations = 0;                        // of a chunk, in whole forwards
  double action_rmse = 0;                        // px, against everything computed in F32
  int64_t cache_bytes = 0;                       // of one robot
  int64_t weight_bytes = 0;
};

struct ControlMeasurements {
  std::vector<int32_t> batches;         // robots of one call
  std::vector<ControlBenchSide> sides;  // everything computed in F32 first
  int32_t n_threads = 1;
  std::vector<double> peaks;             // operations a second of all threads, one a round
  std::vector<double> one_thread_peaks;  // of one
  double noise_rmse = 0;                 // px, of everything computed with other noise
  std::vector<double> schedule_ms;       // of bitmaps from a calibration, one a round
  std::optional<double> forward_error;   // largest, against PyTorch
};

// Rows, ratios with their targets and notes; machine and facts are the caller's. `peer` may be
// null.
BenchReport control_bench_report(const ControlMeasurements& measured, PolicyBenchPeer* peer);

}  // namespace reprise
