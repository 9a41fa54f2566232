#pragma once

#include <optional>
#include <string>

namespace reprise {

// A file that comes with the program, such as "models/recall/facts.jsonl": from the installed share
// folder (PREFIX/share/reprise), or from the source tree that the program was built in. Nothing
// when neither has it.
std::optional<std::string> find_shared_file(const std::string& relative_path);

}  // namespace reprise
