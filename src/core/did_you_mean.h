#pragma once

#include <fmt/format.h>

#include <span>
#include <string>
#include <string_view>

#include "core/nearest.h"

namespace reprise {

// What follows "no such word": ", did you mean 'cake'?", or ";" when no known word is near.
inline std::string did_you_mean(std::string_view word, std::span<const std::string_view> known) {
  const std::string_view close = nearest(word, known);
  return close.empty() ? ";" : fmt::format(", did you mean '{}'?", close);
}

}  // namespace reprise
