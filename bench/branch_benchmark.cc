// Benchmarks of what Block-wise Adaptive Caching does before the first call: schedules of a model
// of 8 layers and 100 steps out of its calibration, which have to be there within 10 ms, and one
// call more for the calibration itself, of 16 rows x 128 channels.
//   cmake --build build --target branch_benchmarks && build/bench/branch_benchmarks
#include <benchmark/benchmark.h>

#include "core/split_mix.h"
#include "engines/control/branch_similarity.h"
#include "policies/registry.h"

namespace {

constexpr reprise::BranchShape kShape{.n_layers = 8, .n_steps = 100};
constexpr int32_t kValues = 16 * 128;

// Outputs of one branch at every step, drifting.
std::vector<float> random_features(reprise::SplitMix64& rng) {
  std::vector<float> features;
  std::vector<double> at(kValues);
  for (int32_t k = 0; k < kShape.n_steps; ++k) {
    for (double& value : at) {
      value += rng.uniform() - 0.5;
      features.push_back(static_cast<float>(value));
    }
  }
  return features;
}

reprise::BranchSimilarity similarity_of_one_call() {
  reprise::SplitMix64 rng(1);
  reprise::BranchSimilarity similarity(kShape, kValues, reprise::kBranchMetrics);
  for (int32_t b = 0; b < kShape.n_branches(); ++b) similarity.add(b, random_features(rng));
  return similarity;
}

void schedule(benchmark::State& state, const std::string& spec) {
  static const reprise::BranchCalibration calibration = similarity_of_one_call().mean();
  const auto policy = reprise::make_branch_policy(spec);
  int64_t n_computed = 0;
  int32_t n_masks = 0;
  while (state.KeepRunning()) {
    const reprise::BranchSchedule schedule = policy->schedule(kShape, &calibration);
    n_computed = schedule.n_computed();
    n_masks = schedule.n_distinct_masks();
  }
  state.counters["computed"] = static_cast<double>(n_computed);
  state.counters["masks"] = n_masks;
}

// One call: 24 branches x 100 steps.
void calibrate(benchmark::State& state, std::span<const reprise::BranchMetric> metrics) {
  reprise::SplitMix64 rng(1);
  const std::vector<float> features = random_features(rng);
  reprise::BranchSimilarity similarity(kShape, kValues, metrics);
  while (state.KeepRunning()) {
    for (int32_t b = 0; b < kShape.n_branches(); ++b) similarity.add(b, features);
  }
}

#ifndef __clang_analyzer__  // it takes what the registry owns for a leak
void register_all() {
  for (const char* policy : {"bac", "joint", "unified", "lowest_consecutive"}) {
    for (const char* updates : {"5", "10", "20", "50", "100"}) {
      const std::string spec = std::string(policy) + ":updates=" + updates;
      benchmark::RegisterBenchmark(("schedule/" + spec).c_str(), schedule, spec)
          ->Unit(benchmark::kMillisecond);
    }
  }
  for (const std::string spec :
       {"bac:updates=10,bubbling=24", "bac:updates=50,bubbling=24,metric=l1", "uniform:updates=10",
        "full"}) {
    benchmark::RegisterBenchmark(("schedule/" + spec).c_str(), schedule, spec)
        ->Unit(benchmark::kMillisecond);
  }
  const std::span<const reprise::BranchMetric> all = reprise::kBranchMetrics;
  benchmark::RegisterBenchmark("calibrate_one_call/cosine", calibrate, all.first(1))
      ->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark("calibrate_one_call/all_metrics", calibrate, all)
      ->Unit(benchmark::kMillisecond);
}
#endif

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
#ifndef __clang_analyzer__
  register_all();
#endif
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
