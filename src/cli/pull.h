#pragma once

#include <CLI/CLI.hpp>

namespace reprise {

// Adds `reprise pull NAME`: fetches a model of the catalogue into the data folder.
void add_pull(CLI::App& app, int& exit_code);

}  // namespace reprise
