#pragma once

#include <exception>
#include <string>

namespace reprise {

// What an error is told as, in one line: its own words, and for memory that ran out what to do.
std::string error_line(const std::exception& error);

}  // namespace reprise
