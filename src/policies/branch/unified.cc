#include "policies/branch/unified.h"

#include "policies/branch/acs.h"
#include "policies/branch/calibrated_branch.h"

namespace reprise {
namespace {

void acs_of_first_branch(const StepSimilarity& similarity, int32_t n_updates,
                         BranchSchedule& schedule) {
  const std::span<const float> values = similarity.of(0);
  const std::vector<double> matrix(values.begin(), values.end());
  for (const int32_t k : adaptive_cache_steps(
           {matrix, similarity.shape.n_steps, similarity.is_distance}, n_updates)) {
    schedule.compute_all_at(k);
  }
}

}  // namespace

const PolicyEntry kUnifiedBranch = {
    .name = "branch/unified",
    .summary = "all residual branches at the best steps of the first layer's self attention",
    .source = "the Unified ACS ablation of BAC, arXiv 2506.13456",
    .when_to_use = "in benches, as the paper's own control of schedules of each branch",
    .when_not =
        "robots: one branch speaks for all, and without force_last its last computed step "
        "may be far from the end; branch/joint asks all branches at the same cost",
    .options = calibrated_options("false"),
    .make = [](const Options& o) -> std::unique_ptr<Policy> {
      return std::make_unique<CalibratedBranch>(kUnifiedBranch.name, calibrated_config(o),
                                                acs_of_first_branch);
    }};

}  // namespace reprise
