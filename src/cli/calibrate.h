#pragma once

#include <CLI/CLI.hpp>

namespace reprise {

// `reprise calibrate MODEL`: makes the file that branch policies need.
void add_calibrate(CLI::App& app, int& exit_code);

}  // namespace reprise
