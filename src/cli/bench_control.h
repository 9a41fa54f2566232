#pragma once

#include <CLI/CLI.hpp>

namespace reprise {

// `reprise bench control`: a robot policy's speed, with its controls and PyTorch, or its behaviour
// in real time.
void add_bench_control(CLI::App& bench, int& exit_code);

}  // namespace reprise
