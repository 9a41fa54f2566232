#pragma once

#include <CLI/CLI.hpp>

namespace reprise {

// Adds `reprise bench KIND`: speed, with peers, bounds and controls.
void add_bench(CLI::App& app, int& exit_code);

}  // namespace reprise
