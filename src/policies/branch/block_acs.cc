#include "policies/branch/block_acs.h"

#include "policies/branch/acs.h"

namespace reprise {

void acs_of_each_branch(const StepSimilarity& similarity, int32_t n_updates,
                        BranchSchedule& schedule) {
  for (int32_t b = 0; b < similarity.shape.n_branches(); ++b) {
    const std::span<const float> values = similarity.of(b);
    const std::vector<double> matrix(values.begin(), values.end());
    schedule.set_steps(
        b, adaptive_cache_steps({matrix, similarity.shape.n_steps, similarity.is_distance},
                                n_updates));
  }
}

const PolicyEntry kBlockAcsBranch = {
    .name = "branch/block_acs",
    .summary = "each residual branch is computed at its own best steps",
    .source = "ablation of BAC, arXiv 2506.13456: its scheduler without bubbling",
    .when_to_use = "in benches: what branch/bac gains over it comes from bubbling",
    .when_not =
        "robots: feed-forward branches are computed from stale inputs; both the paper and "
        "our 200 episodes scored it below one schedule for all branches",
    .options = calibrated_options("true"),
    .make = [](const Options& o) -> std::unique_ptr<Policy> {
      return std::make_unique<CalibratedBranch>(kBlockAcsBranch.name, calibrated_config(o),
                                                acs_of_each_branch);
    }};

}  // namespace reprise
