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
  // The build folder, likewise.
  std::filesystem::path build;
  // Where an installed program has its modules; it need not exist.
  std::filesystem::path modules;
};

ProgramPlace program_place();

}  // namespace reprise
