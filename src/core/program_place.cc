#include "core/program_place.h"

#include <algorithm>
#include <system_error>

namespace reprise {

namespace fs = std::filesystem;

ProgramPlace program_place() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (error) return {};
  ProgramPlace place;
  place.folder = program.parent_path();
  place.share = program.parent_path().parent_path() / "share" / "reprise";
  place.modules = program.parent_path() / REPRISE_MODULE_DIR;
  const fs::path build = fs::weakly_canonical(REPRISE_BINARY_DIR, error);
  const auto [build_end, program_end] =
      std::mismatch(build.begin(), build.end(), program.begin(), program.end());
  if (!error && build_end == build.end()) {
    place.source = REPRISE_SOURCE_DIR;
    place.build = build;
  }
  return place;
}

}  // namespace reprise
