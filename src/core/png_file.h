#pragma once

#include <string>

#include "core/picture.h"

namespace reprise {

// Writes a picture as a PNG file that is complete or absent. Throws Error when it cannot be
// written, and when the program was built without media (REPRISE_MEDIA).
void write_png(const std::string& path, const Picture& picture);

}  // namespace reprise
