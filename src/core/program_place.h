#pragma once

#include <filesystem>

namespace reprise {

// Where the running program's own files are.
struct ProgramPlace {
  // The folder of the program itself. Empty when the system does not tell its path.
  std::filesystem::path folder;
  // share/reprise beside the bin folder that the program runs from; it need not exist. Empty when
  // the folder is.
  std::filesystem::path share;
  // The source tree, when the program runs out of its own build folder; else empty.
  std::filesystem::path source;
};

ProgramPlace program_place();

}  // namespace reprise
