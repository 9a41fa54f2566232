#include "policies/branch/joint.h"

#include "policies/branch/acs.h"
#include "policies/branch/calibrated_branch.h"

namespace reprise {
namespace {

void acs_of_all_branches(const StepSimilarity& similarity, int32_t n_updates,
                         BranchSchedule& schedule) {
  const int32_t n_branches = similarity.shape.n_branches();
  std::vector<double> mean(similarity.of(0).size(), 0.0);
  for (int32_t b = 0; b < n_branches; ++b) {
    const std::span<const float> values = similarity.of(b);
    for (size_t i = 0; i < mean.size(); ++i) mean[i] += values[i];
  }
  for (double& value : mean) value /= n_branches;
  for (const int32_t k :
       adaptive_cache_steps({mean, similarity.shape.n_steps, similarity.is_distance}, n_updates)) {
    schedule.compute_all_at(k);
  }
}

}  // namespace

const PolicyEntry kJointBranch = {
    .name = "branch/joint",
    .summary = "all residual branches at the steps that suit their averaged similarities best",
    .source = "ours, after BAC, arXiv 2506.13456",
    .when_to_use =
        "15 to 30 of 100 steps: over 200 episodes it scored highest of the schedules at every cost "
        "above 8, level with a respaced sampler from 20 on, and nearer to the full sampler's "
        "actions",
    .when_not =
        "a distance is the metric, where branches of large outputs outvote the others; 10 of 100 "
        "steps or fewer, where a respaced sampler of as many steps scored higher",
    .options = calibrated_options("true"),
    .make = [](const Options& o) -> std::unique_ptr<Policy> {
      return std::make_unique<CalibratedBranch>(kJointBranch.name, calibrated_config(o),
                                                acs_of_all_branches);
    }};

}  // namespace reprise
