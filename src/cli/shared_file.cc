#include "cli/shared_file.h"

#include <filesystem>
#include <system_error>

namespace reprise {

std::optional<std::string> find_shared_file(const std::string& relative_path) {
  namespace fs = std::filesystem;
  std::error_code failed;
  const fs::path program = fs::read_symlink("/proc/self/exe", failed);
  if (failed) return std::nullopt;
  // PREFIX/bin/reprise and SOURCE/build/reprise.
  const fs::path above = program.parent_path().parent_path();
  for (const fs::path& folder : {above / "share" / "reprise", above}) {
    const fs::path file = folder / relative_path;
    if (fs::is_regular_file(file, failed)) return file.string();
  }
  return std::nullopt;
}

}  // namespace reprise
