#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "core/error.h"

namespace reprise {

// A flag was given what it cannot take: the command line is wrong, whatever the files say.
class UsageError : public Error {
 public:
  using Error::Error;
};

// Returns what `check` returns; an Error of it becomes a UsageError.
template <typename Check>
auto checked_flag(const Check& check) {
  try {
    return check();
  } catch (const Error& error) {
    throw UsageError(error.what());
  }
}

// What is wrong with a command line, in one line that ends with what to do; a mistyped verb or flag
// gets the nearest known one.
std::string usage_error(const CLI::App& app, int argc, char** argv, const CLI::ParseError& error);

}  // namespace reprise
