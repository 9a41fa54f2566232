#include "policies/branch/branch_options.h"

#include <fmt/format.h>

#include "core/error.h"

namespace reprise {

OptionSpec force_last_option(std::string_view fallback) {
  return choice_option("force_last",
                       fallback == "true" ? std::vector<std::string_view>{"true", "false"}
                                          : std::vector<std::string_view>{"false", "true"},
                       "whether the last, cleanest step is computed on top of the others");
}

bool forces_last(const Options& options) { return options.choice("force_last") == "true"; }

void check_updates(std::string_view policy, int32_t n_updates, const BranchShape& shape) {
  if (n_updates >= 1 && n_updates <= shape.n_steps) return;
  throw Error(fmt::format("{}: updates={}, the sampler takes {} steps; write updates=1..{}", policy,
                          n_updates, shape.n_steps, shape.n_steps));
}

}  // namespace reprise
