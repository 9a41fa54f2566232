#pragma once

#include <CLI/CLI.hpp>

namespace reprise {

// Adds `reprise bench weights MODEL`.
void add_bench_weights(CLI::App& bench, int& exit_code);

}  // namespace reprise
