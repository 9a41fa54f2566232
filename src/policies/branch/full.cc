#include "policies/branch/full.h"

namespace reprise {

const PolicyEntry kFullBranch = {
    .name = "branch/full",
    .summary = "compute every residual branch at every denoising step",
    .source = "Diffusion Policy, arXiv 2303.04137; exact",
    .when_to_use = "the robot's rate is met: nothing scores better, and it is the exact reference",
    .when_not = "a chunk takes longer than its actions last; first try fewer steps of the sampler",
    .options = {},
    .make = [](const Options& /*options*/) -> std::unique_ptr<Policy> {
      return std::make_unique<FullBranch>();
    }};

}  // namespace reprise
