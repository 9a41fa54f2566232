#pragma once

#include <span>
#include <string_view>

namespace reprise {

// The known word that a mistyped one most likely meant: fewest edits (insert, delete, replace, swap
// of neighbours), the earlier one on a tie. Empty when none is within a third of the word's length,
// at least one edit.
std::string_view nearest(std::string_view word, std::span<const std::string_view> known);

}  // namespace reprise
