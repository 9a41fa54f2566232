#include "engines/control/branch_similarity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>

#include "core/error.h"

namespace reprise {
namespace {

constexpr int32_t kLanes = 16;
// Values of all steps that are compared while they are in the cache: 100 KiB at 100 steps.
constexpr int32_t kPart = 16 * kLanes;
// Squares and sums of differences of outputs within it stay finite.
constexpr double kMaxSquaredNorm = 1e37;

// Of two outputs, over some of their values.
struct PairSums {
  double products = 0, absolute = 0, squares = 0;
};

// Each lane adds kPart / kLanes values in F32, in an order that does not depend on the CPU. All
// three sums, whichever are asked for: loading the values is most of the work.
PairSums compare(const float* x, const float* y, int32_t n) {
  float products[kLanes] = {}, absolute[kLanes] = {}, squares[kLanes] = {};
  const auto add = [&](int32_t lane, float a, float b) {
    const float difference = a - b;
    products[lane] += a * b;
    absolute[lane] += std::abs(difference);
    squares[lane] += difference * difference;
  };
  int32_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int32_t lane = 0; lane < kLanes; ++lane) add(lane, x[i + lane], y[i + lane]);
  }
  for (int32_t lane = 0; i + lane < n; ++lane) add(lane, x[i + lane], y[i + lane]);
  PairSums sums;
  for (int32_t lane = 0; lane < kLanes; ++lane) {
    sums.products += products[lane];
    sums.absolute += absolute[lane];
    sums.squares += squares[lane];
  }
  return sums;
}

std::vector<PairSums> compare_all(std::span<const float* const> outputs, const StepPairs& pairs,
                                  int32_t n_values) {
  std::vector<PairSums> sums(pairs.size());
  for (int32_t first = 0; first < n_values; first += kPart) {
    const int32_t n = std::min(kPart, n_values - first);
    size_t pair = 0;
    for (int32_t i = 0; i < pairs.n_steps; ++i) {
      for (int32_t j = i; j < pairs.n_steps; ++j, ++pair) {
        const PairSums part = compare(outputs[i] + first, outputs[j] + first, n);
        sums[pair].products += part.products;
        sums[pair].absolute += part.absolute;
        sums[pair].squares += part.squares;
      }
    }
  }
  return sums;
}

double squared_norm(const float* x, int32_t n_values) {
  double sum = 0;
  for (int32_t first = 0; first < n_values; first += kPart) {
    sum += compare(x + first, x + first, std::min(kPart, n_values - first)).products;
  }
  return sum;
}

double value_of(BranchMetric metric, const PairSums& sums, double norms, int32_t n_values) {
  switch (metric) {
    case BranchMetric::kCosine:
      return norms > 0 ? std::clamp(sums.products / norms, -1.0, 1.0) : 0.0;
    case BranchMetric::kL1:
      return sums.absolute;
    case BranchMetric::kMse:
      return sums.squares / n_values;
    case BranchMetric::kL2:
      break;
  }
  return std::sqrt(sums.squares);
}

}  // namespace

BranchSimilarity::BranchSimilarity(const BranchShape& shape, int32_t n_values,
                                   std::span<const BranchMetric> metrics)
    : shape_(BranchSchedule(shape, false).shape()), pairs_{shape.n_steps}, n_values_(n_values) {
  if (n_values < 1 || metrics.empty()) {
    throw Error(fmt::format(
        "calibration: {} values of an output and {} metrics; there is one of each at least",
        n_values, metrics.size()));
  }
  Branch empty;
  for (const BranchMetric metric : metrics) empty.sums[metric].resize(pairs_.size());
  branches_.assign(static_cast<size_t>(shape.n_branches()), empty);
}

void BranchSimilarity::add(int32_t b, std::span<const float> features) {
  assert(b >= 0 && b < shape_.n_branches());
  const auto n_steps = static_cast<size_t>(shape_.n_steps);
  const auto n_values = static_cast<size_t>(n_values_);
  if (features.size() != n_steps * n_values) {
    throw Error(
        fmt::format("calibration: {} gave {} values in a call, not {} steps x {}; one call "
                    "of one robot is added at a time",
                    shape_.name_of(b), features.size(), n_steps, n_values));
  }
  Branch& branch = branches_[static_cast<size_t>(b)];
  const std::vector<float> zeros(n_values);
  std::vector<const float*> outputs(n_steps);
  std::vector<double> squared_norms(n_steps);
  for (size_t k = 0; k < n_steps; ++k) {
    outputs[k] = features.data() + k * n_values;
    squared_norms[k] = squared_norm(outputs[k], n_values_);
    // Written so that NaN is none.
    if (squared_norms[k] > 0 && squared_norms[k] <= kMaxSquaredNorm) continue;
    outputs[k] = zeros.data();
    squared_norms[k] = 0;
    ++branch.n_zeroed;
  }
  const std::vector<PairSums> sums = compare_all(outputs, pairs_, n_values_);
  double absolute = 0;
  for (int32_t i = 0; i < shape_.n_steps; ++i) {
    for (int32_t j = i; j < shape_.n_steps; ++j) {
      const size_t pair = pairs_.at(i, j);
      const double norms =
          std::sqrt(squared_norms[static_cast<size_t>(i)] * squared_norms[static_cast<size_t>(j)]);
      for (auto& [metric, of_metric] : branch.sums) {
        of_metric[pair] += value_of(metric, sums[pair], norms, n_values_);
      }
      if (i < j) absolute += sums[pair].absolute;
    }
  }
  const size_t n_pairs = n_steps * (n_steps - 1) / 2;
  // One step has no pair, and nothing to change.
  if (n_pairs > 0) {
    branch.volatility += absolute / static_cast<double>(n_pairs) / static_cast<double>(n_values);
  }
  ++branch.n_calls;
}

BranchCalibration BranchSimilarity::mean() const {
  for (int32_t b = 0; b < shape_.n_branches(); ++b) {
    const int32_t n = branches_[static_cast<size_t>(b)].n_calls;
    if (n == n_calls() && n > 0) continue;
    throw Error(
        fmt::format("calibration: {} calls of {}, {} of {}; each branch needs as many, one "
                    "at least",
                    n, shape_.name_of(b), n_calls(), shape_.name_of(0)));
  }
  BranchCalibration out{.shape = shape_, .similarity = {}, .volatility = {}};
  const auto n_steps = static_cast<size_t>(shape_.n_steps);
  for (const Branch& branch : branches_) {
    for (const auto& [metric, sums] : branch.sums) {
      std::vector<float>& values = out.similarity[metric];
      for (size_t i = 0; i < n_steps * n_steps; ++i) {
        const auto row = static_cast<int32_t>(i / n_steps);
        const auto column = static_cast<int32_t>(i % n_steps);
        const double sum = sums[pairs_.at(std::min(row, column), std::max(row, column))];
        values.push_back(static_cast<float>(sum / branch.n_calls));
      }
    }
    out.volatility.push_back(branch.volatility / branch.n_calls);
  }
  return out;
}

int64_t BranchSimilarity::n_zeroed() const {
  int64_t n = 0;
  for (const Branch& branch : branches_) n += branch.n_zeroed;
  return n;
}

}  // namespace reprise
