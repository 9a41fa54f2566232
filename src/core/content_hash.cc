#include "core/content_hash.h"

#include <fmt/format.h>

namespace reprise {

std::string ContentHash::hex() const { return fmt::format("{:016x}", value_); }

}  // namespace reprise
