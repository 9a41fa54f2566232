#pragma once

#include <span>
#include <string>
#include <vector>

namespace reprise {

// Rows of ASCII cells as lines of aligned columns, two spaces apart: the first n_left columns to
// the left, the others to the right. All rows have as many cells as the first one, which is the
// heading.
std::string text_table(std::span<const std::vector<std::string>> rows, size_t n_left);

}  // namespace reprise
