#pragma once

#include <CLI/CLI.hpp>

namespace reprise {

// `reprise eval dllm`: exact answers of a diffusion language model by span, commit and refresh
// policy.
void add_eval_dllm(CLI::App& eval, int& exit_code);

}  // namespace reprise
