#pragma once

#include <CLI/CLI.hpp>

namespace reprise {

// Adds `reprise control MODEL`: a robot policy in its environment, episode by episode; scores on
// standard output.
void add_control(CLI::App& app, int& exit_code);

}  // namespace reprise
