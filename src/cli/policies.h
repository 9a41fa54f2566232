#pragma once

#include <CLI/CLI.hpp>

namespace reprise {

// Adds `reprise policies [NAME]`: what the registry knows of every policy, or of one.
void add_policies(CLI::App& app, int& exit_code);

}  // namespace reprise
