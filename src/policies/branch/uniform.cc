#include "policies/branch/uniform.h"

#include <fmt/format.h>

#include "core/error.h"
#include "policies/branch/branch_options.h"

namespace reprise {

BranchSchedule UniformBranch::schedule(const BranchShape& shape,
                                       const BranchCalibration* /*calibration*/) const {
  BranchSchedule schedule(shape, false);
  const auto [every, n_updates, forces_last] = config_;
  if (n_updates > 0) check_updates(kUniformBranch.name, n_updates, shape);
  if (n_updates == 0 && every > shape.n_steps) {
    throw Error(fmt::format("{}: every={}, the sampler takes {} steps; write every=1..{}",
                            kUniformBranch.name, every, shape.n_steps, shape.n_steps));
  }
  const int32_t interval = n_updates > 0 ? shape.n_steps / n_updates : every;
  for (int32_t k = 0; k < shape.n_steps; k += interval) schedule.compute_all_at(k);
  if (forces_last) schedule.compute_all_at(shape.n_steps - 1);
  return schedule;
}

const PolicyEntry kUniformBranch = {
    .name = "branch/uniform",
    .summary = "compute all residual branches at every n-th denoising step",
    .source = "the baseline of BAC, arXiv 2506.13456",
    .when_to_use =
        "without a calibration, and as what every other schedule has to beat: with 25 updates and "
        "the last step it scored no worse than bac at equal cost",
    .when_not = "20 of 100 steps or fewer, where a respaced sampler of as many steps scored higher",
    .options = {int_option("every", 5, 1, kMaxUpdates, "steps from one computed step to the next"),
                int_option("updates", 0, 0, kMaxUpdates,
                           "instead of `every`: at least n computed steps, one every K / n "
                           "(rounded down); 0: `every` says"),
                force_last_option("false")},
    .make = [](const Options& o) -> std::unique_ptr<Policy> {
      if (o.is_given("every") && o.i32("updates") > 0) {
        throw Error(fmt::format("{}: every={} and updates={} both say how often; leave one out",
                                o.where(), o.i32("every"), o.i32("updates")));
      }
      return std::make_unique<UniformBranch>(
          UniformBranch::Config{o.i32("every"), o.i32("updates"), forces_last(o)});
    }};

}  // namespace reprise
