#pragma once

#include <CLI/CLI.hpp>

namespace reprise {

// Adds `reprise list`: the models that are here, and those that can be pulled.
void add_list(CLI::App& app, int& exit_code);

}  // namespace reprise
