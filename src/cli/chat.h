#pragma once

#include <CLI/CLI.hpp>

namespace reprise {

// Adds `reprise chat MODEL`: a conversation on standard input and output.
void add_chat(CLI::App& app, int& exit_code);

}  // namespace reprise
