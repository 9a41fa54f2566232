#include "policies/branch/lowest_consecutive.h"

#include <algorithm>
#include <cassert>
#include <numeric>

#include "policies/branch/calibrated_branch.h"

namespace reprise {
namespace {

void least_alike_of_each_branch(const StepSimilarity& similarity, int32_t n_updates,
                                BranchSchedule& schedule) {
  for (int32_t b = 0; b < similarity.shape.n_branches(); ++b) {
    const std::span<const float> values = similarity.of(b);
    const std::vector<double> matrix(values.begin(), values.end());
    schedule.set_steps(
        b, lowest_consecutive_steps({matrix, similarity.shape.n_steps, similarity.is_distance},
                                    n_updates));
  }
}

}  // namespace

std::vector<int32_t> lowest_consecutive_steps(const StepMatrix& matrix, int32_t n_updates) {
  const auto n = static_cast<size_t>(matrix.n_steps);
  assert(matrix.values.size() == n * n && n_updates >= 1 && n_updates <= matrix.n_steps);
  std::vector<int32_t> steps(n);
  std::iota(steps.begin(), steps.end(), 0);
  const auto alike = [&](int32_t k) {  // as the step before
    const double value = matrix.values[(static_cast<size_t>(k) - 1) * n + static_cast<size_t>(k)];
    return matrix.is_distance ? -value : value;
  };
  std::stable_sort(steps.begin() + 1, steps.end(),
                   [&](int32_t a, int32_t b) { return alike(a) < alike(b); });
  steps.resize(static_cast<size_t>(n_updates));
  std::ranges::sort(steps);
  return steps;
}

const PolicyEntry kLowestConsecutiveBranch = {
    .name = "branch/lowest_consecutive",
    .summary = "each residual branch at the steps least like the step before them",
    .source =
        "the objective that BAC's paper is reported to print, arXiv 2506.13456; its code "
        "takes another",
    .when_to_use = "for the record, in benches: it shows what that objective gives",
    .when_not =
        "anything else: its steps gather at both ends of a call, and one stale output "
        "serves most of it",
    .options = calibrated_options("true"),
    .make = [](const Options& o) -> std::unique_ptr<Policy> {
      return std::make_unique<CalibratedBranch>(kLowestConsecutiveBranch.name, calibrated_config(o),
                                                least_alike_of_each_branch);
    }};

}  // namespace reprise
