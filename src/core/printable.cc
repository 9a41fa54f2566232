#include "core/printable.h"

#include <fmt/format.h>

#include <cstdint>
#include <iterator>

namespace reprise {

std::string printable(std::string_view text) {
  constexpr size_t kMaxBytes = 80;
  std::string out;
  for (const char c : text.substr(0, kMaxBytes)) {
    if (c >= ' ' && c <= '~' && c != '\\') {
      out += c;
    } else {
      fmt::format_to(std::back_inserter(out), "\\x{:02X}", static_cast<uint8_t>(c));
    }
  }
  if (text.size() > kMaxBytes) out += "...";
  return out;
}

}  // namespace reprise
