// For programs without libpng.
#include <fmt/format.h>

#include "core/error.h"
#include "core/png_file.h"

namespace reprise {

void write_png(const std::string& path, const Picture& /*picture*/) {
  throw Error(
      fmt::format("{}: this program was built without pictures and video; build it with "
                  "-DREPRISE_MEDIA=ON",
                  path));
}

}  // namespace reprise
