#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/sample_mean.h"
#include "engines/control/pusht_episode.h"

namespace reprise {

// One way of making chunks: the value of --sampler, the value of --branch, and what that came to.
struct PushtMethod {
  std::string branch;
  SamplerSpec sampler;
  BranchSchedule schedule;

  // "ddpm bac:updates=10"
  std::string name() const { return sampler.text() + " " + branch; }
};

struct PushtEvalOptions {
  PushtRunOptions run;
  // What action errors and times are taken on, [To][Do] each, and the noise of the first.
  std::vector<std::vector<float>> observations;
  uint64_t first_noise_seed = 0;
};

// What one method did. "Full" is the first method of the evaluation.
struct PushtMethodResult {
  explicit PushtMethodResult(PushtMethod of) : method(std::move(of)) {}

  PushtMethod method;
  std::vector<PushtEpisode> episodes;
  SampleMean score, success;
  SampleMean score_over_full, success_over_full;  // paired by seed and noise
  double action_rmse = 0;      // px, executed actions against full's, same observation and noise
  double evals_per_chunk = 0;  // branches computed / branches
  double flops_per_chunk = 0;
  double call_ms = 0, p95_call_ms = 0;  // of single calls: median, 95th percentile
  int64_t cache_bytes = 0;              // kept for one robot
  int64_t n_obs_outside = 0;            // numbers of the episodes' observations beyond the usual
};

struct PushtEvaluation {
  std::vector<PushtMethodResult> results;
  // px, between two runs of full with different noise: what its actions differ by anyway.
  double noise_rmse = 0;
};

struct PushtEvalEvents {
  // Before the episodes: so many of the single calls are done, then what they gave.
  std::function<void(int64_t n_done, int64_t n_calls)> on_call = {};
  std::function<void(double noise_rmse)> on_noise_rmse = {};
  std::function<void(const PushtMethodResult& result)> on_result = {};
  PushtEvents episodes;
};

// Runs every method on the same seeds with the same noise; the first one is what the others are
// compared with. Cancelling is asked for after every observation's calls, and in episodes; a
// cancelled evaluation holds the methods that were finished. Throws Error without
// methods, and as run_pusht.
PushtEvaluation evaluate_pusht(const std::shared_ptr<const PolicyTransformerModel>& model,
                               const Backend& backend, std::span<const PushtMethod> methods,
                               const PushtEvalOptions& options, const PushtEvalEvents& events = {});

// The executed actions of single calls, one an observation, [n][Ta][Da]: noise seeds count up from
// first_seed.
std::vector<std::vector<float>> executed_actions(DiffusionPolicy& policy,
                                                 std::span<const std::vector<float>> observations,
                                                 uint64_t first_seed);

// Root of the mean square of a - b over all values, in the actions' units. Throws Error unless they
// are equally many.
double action_rmse(std::span<const std::vector<float>> a, std::span<const std::vector<float>> b);

}  // namespace reprise
