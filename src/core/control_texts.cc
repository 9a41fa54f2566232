#include "core/control_texts.h"

#include <algorithm>

namespace reprise {

ControlTexts::ControlTexts(std::span<const std::string> texts) {
  for (const std::string& text : texts) {
    if (text.empty() || !texts_.insert(text).second) continue;
    auto& lengths = lengths_[static_cast<unsigned char>(text.front())];
    const auto at = std::lower_bound(lengths.begin(), lengths.end(), text.size());
    if (at == lengths.end() || *at != text.size()) lengths.insert(at, text.size());
  }
}

std::vector<ControlTexts::Range> ControlTexts::find(std::string_view text) const {
  std::vector<Range> found;
  for (size_t i = 0; i < text.size(); ++i) {
    for (const size_t length : lengths_[static_cast<unsigned char>(text[i])]) {
      if (length > text.size() - i) break;
      if (texts_.contains(text.substr(i, length))) found.push_back({i, i + length});
    }
  }
  return found;
}

}  // namespace reprise
