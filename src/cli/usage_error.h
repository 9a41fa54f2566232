#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace reprise {

// What is wrong with a command line, in one line that ends with what to do; a mistyped verb or flag
// gets the nearest known one.
std::string usage_error(const CLI::App& app, int argc, char** argv, const CLI::ParseError& error);

}  // namespace reprise
