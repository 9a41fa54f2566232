#pragma once

#include <CLI/CLI.hpp>

namespace reprise {

// `reprise eval pusht MODEL`: how well a policy drives Push-T, by sampler and branch policy.
void add_eval_pusht(CLI::App& eval, int& exit_code);

}  // namespace reprise
