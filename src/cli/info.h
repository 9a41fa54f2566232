#pragma once

#include <CLI/CLI.hpp>

namespace reprise {

// Adds `reprise info MODEL`: architecture, sizes, cache bytes and policies of a model.
void add_info(CLI::App& app, int& exit_code);

}  // namespace reprise
