#pragma once

#include <CLI/CLI.hpp>

namespace reprise {

// `reprise bench dllm`: speed and quality of a diffusion language model, with libllama beside it.
void add_bench_dllm(CLI::App& bench, int& exit_code);

}  // namespace reprise
