#pragma once

#include <CLI/CLI.hpp>

namespace reprise {

// Adds `reprise bench kv MODEL`.
void add_bench_kv(CLI::App& bench, int& exit_code);

}  // namespace reprise
