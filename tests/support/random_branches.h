#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/split_mix.h"
#include "policies/branch/branch_policy.h"

namespace reprise::test {

// [K][n_values]: outputs of a branch that drift from step to step.
inline std::vector<float> drifting_features(SplitMix64& rng, int32_t n_steps, int32_t n_values) {
  std::vector<float> out;
  std::vector<double> at(static_cast<size_t>(n_values));
  for (double& value : at) value = rng.uniform() - 0.5;
  for (int32_t k = 0; k < n_steps; ++k) {
    const double speed = 0.4 * rng.uniform();
    for (double& value : at)
      out.push_back(static_cast<float>(value += speed * (rng.uniform() - 0.5)));
  }
  return out;
}

// Two steps of [K][n_values], as BranchMetric says; in F64.
inline double compare_steps(BranchMetric metric, const std::vector<float>& features,
                            int32_t n_values, int32_t i, int32_t j) {
  double dot = 0, ii = 0, jj = 0, absolute = 0, squares = 0;
  for (int32_t c = 0; c < n_values; ++c) {
    const double x = features[static_cast<size_t>(i) * n_values + c];
    const double y = features[static_cast<size_t>(j) * n_values + c];
    dot += x * y;
    ii += x * x;
    jj += y * y;
    absolute += std::abs(x - y);
    squares += (x - y) * (x - y);
  }
  switch (metric) {
    case BranchMetric::kCosine:
      return dot / std::sqrt(ii * jj);
    case BranchMetric::kL1:
      return absolute;
    case BranchMetric::kMse:
      return squares / n_values;
    case BranchMetric::kL2:
      break;
  }
  return std::sqrt(squares);
}

// A calibration of drifting features, with every metric.
inline BranchCalibration random_calibration(BranchShape shape, uint64_t seed) {
  constexpr int32_t kValues = 6;
  SplitMix64 rng(seed);
  BranchCalibration out{.shape = shape, .similarity = {}, .volatility = {}};
  for (int32_t b = 0; b < shape.n_branches(); ++b) {
    const std::vector<float> features = drifting_features(rng, shape.n_steps, kValues);
    for (const BranchMetric metric : kBranchMetrics) {
      for (int32_t i = 0; i < shape.n_steps * shape.n_steps; ++i) {
        const int32_t first = std::min(i / shape.n_steps, i % shape.n_steps);
        const int32_t second = std::max(i / shape.n_steps, i % shape.n_steps);
        out.similarity[metric].push_back(
            static_cast<float>(compare_steps(metric, features, kValues, first, second)));
      }
    }
    out.volatility.push_back(rng.uniform());
  }
  return out;
}

// Steps computed by a branch: "CRRC" as C computed, R reused.
inline std::string verdicts(const BranchSchedule& schedule, int32_t b) {
  std::string out;
  for (int32_t k = 0; k < schedule.shape().n_steps; ++k) out += schedule.computes(b, k) ? 'C' : 'R';
  return out;
}

}  // namespace reprise::test
