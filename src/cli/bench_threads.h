#pragma once

#include <CLI/CLI.hpp>

namespace reprise {

// Adds `reprise bench threads MODEL`.
void add_bench_threads(CLI::App& bench, int& exit_code);

}  // namespace reprise
