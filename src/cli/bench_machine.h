#pragma once

#include <CLI/CLI.hpp>

namespace reprise {

// Adds `reprise bench machine` and `reprise bench kernels`.
void add_bench_machine(CLI::App& bench, int& exit_code);
void add_bench_kernels(CLI::App& bench, int& exit_code);

}  // namespace reprise
