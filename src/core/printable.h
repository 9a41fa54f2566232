#pragma once

#include <string>
#include <string_view>

namespace reprise {

// A text from a file, fit for one line of an error message: bytes outside printable ASCII and the
// backslash as \xNN, so that no name can drive the terminal, and at most 80 of them.
std::string printable(std::string_view text);

}  // namespace reprise
