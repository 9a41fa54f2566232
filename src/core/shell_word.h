#pragma once

#include <string>
#include <string_view>

namespace reprise {

// `text` as one word of a command line that a user copies into a POSIX shell: in single quotes
// where the shell would take it apart or read more into it, as it is otherwise.
std::string shell_word(std::string_view text);

}  // namespace reprise
