#pragma once

#include <CLI/CLI.hpp>

namespace reprise {

// Adds `reprise eval ppl|recall MODEL`: quality, as tables on standard output.
void add_eval(CLI::App& app, int& exit_code);

}  // namespace reprise
