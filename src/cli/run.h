#pragma once

#include <CLI/CLI.hpp>

namespace reprise {

// Adds `reprise run MODEL -p TEXT`: one answer on standard output.
void add_run(CLI::App& app, int& exit_code);

}  // namespace reprise
