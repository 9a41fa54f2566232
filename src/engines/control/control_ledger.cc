#include "engines/control/control_ledger.h"

#include <fmt/format.h>

#include "core/quantities.h"

namespace reprise {
namespace {

double ratio(double a, double b) { return b > 0 ? a / b : 0; }

LedgerUnit branch_unit(const ControlCounts& counts) {
  const auto& [all, some, none] = counts.steps;
  LedgerUnit unit;
  unit.name = "branch";
  unit.computed = counts.n_branches_computed;
  unit.reused = counts.n_branches_reused;
  unit.spent = {LedgerAmount::Unit::kSeconds, all.seconds + some.seconds + none.seconds, false,
                "steps"};
  if (counts.n_branches_reused > 0 && all.n > 0) {
    const auto n = static_cast<double>(counts.n_branches_computed + counts.n_branches_reused);
    const double n_steps_saved =
        static_cast<double>(counts.n_branches_reused) / n * static_cast<double>(counts.n_steps());
    unit.saved = {LedgerAmount::Unit::kSeconds,
                  n_steps_saved * all.seconds / static_cast<double>(all.n), true, "steps"};
  }
  return unit;
}

}  // namespace

Ledger control_ledger(const ControlCounts& counts, const ControlReport& report,
                      const std::string& policy) {
  Ledger ledger;
  ledger.units.push_back(branch_unit(counts));
  const auto chunks = static_cast<double>(counts.n_chunks);
  const double flops = ratio(counts.flops, chunks);
  ledger.facts = {{"n_chunks", counts.n_chunks, ""},
                  {"n_denoising_steps", counts.n_steps(),
                   fmt::format("{} chunks of {:.0f} denoising steps", format_count(counts.n_chunks),
                               ratio(static_cast<double>(counts.n_steps()), chunks))},
                  {"n_full_steps", counts.steps[0].n, ""},
                  {"n_partial_steps", counts.steps[1].n, ""},
                  {"n_reused_steps", counts.steps[2].n, ""},
                  {"flops_per_chunk", flops, fmt::format("{:.2f} GFLOP a chunk", flops / 1e9)},
                  {"saved_flops_per_chunk", ratio(counts.saved_flops, chunks), ""}};
  add_to_ledger(report, ledger);
  const int64_t n_outside = counts.n_obs_outside;
  ledger.facts.push_back({"n_observations_outside", n_outside,
                          n_outside == 0
                              ? ""
                              : fmt::format("{} numbers of observations far outside the training's",
                                            format_count(n_outside))});
  ledger.facts.push_back({"policy", policy, fmt::format("policy {}", policy)});
  return ledger;
}

}  // namespace reprise
