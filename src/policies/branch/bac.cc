#include "policies/branch/bac.h"

#include "policies/branch/block_acs.h"
#include "policies/branch/calibrated_branch.h"

namespace reprise {
namespace {

constexpr int32_t kMaxBranches = 3072;

std::vector<OptionSpec> bac_options() {
  std::vector<OptionSpec> options = calibrated_options("true");
  options.insert(options.begin() + 1,
                 int_option("bubbling", 5, 0, kMaxBranches,
                            "most volatile branches that are also computed whenever a feed-forward "
                            "branch behind them is, n; at most all; 1 does nothing"));
  return options;
}

}  // namespace

const PolicyEntry kBacBranch = {
    .name = "branch/bac",
    .summary = "each residual branch at its own best steps, the most volatile with those behind",
    .source = "BAC, arXiv 2506.13456, as its authors' code",
    .when_to_use =
        "the chunk has to come close to the full sampler's at a sixth of its work: its action "
        "error "
        "was half of what other noise makes",
    .when_not =
        "before a respaced sampler of fewer steps and branch/joint were tried: over 200 episodes "
        "both scored higher at equal cost, and it was not lossless (docs/bac.md)",
    .options = bac_options(),
    .make = [](const Options& o) -> std::unique_ptr<Policy> {
      CalibratedBranch::Config config = calibrated_config(o);
      config.n_bubbling = o.i32("bubbling");
      return std::make_unique<CalibratedBranch>(kBacBranch.name, config, acs_of_each_branch);
    }};

}  // namespace reprise
