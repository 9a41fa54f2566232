#include "core/stop_text.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/utf8.h"

namespace reprise {

StopText::StopText(std::vector<std::string> stops) {
  for (std::string& stop : stops) {
    if (stop.empty()) {
      throw Error("--stop: a stop string is empty and would end every answer; leave it out");
    }
    check_utf8(stop, "--stop");
    watches_.push_back(make_watch(std::move(stop)));
  }
}

StopText::Watch StopText::make_watch(std::string text) {
  std::vector<size_t> border(text.size(), 0);
  for (size_t i = 1, n = 0; i < text.size(); ++i) {
    while (n > 0 && text[i] != text[n]) n = border[n - 1];
    if (text[i] == text[n]) ++n;
    border[i] = n;
  }
  return {std::move(text), std::move(border), 0};
}

// Only called before the stop string is complete, so that n_matched is a place inside of it.
void StopText::advance(Watch& watch, char byte) {
  size_t& n = watch.n_matched;
  while (n > 0 && watch.text[n] != byte) n = watch.border[n - 1];
  if (watch.text[n] == byte) ++n;
}

std::string_view StopText::push(std::string_view text) {
  shown_.clear();
  if (is_met()) return shown_;
  for (const char byte : text) {
    held_ += byte;
    size_t n_longest = 0;
    for (size_t i = 0; i < watches_.size(); ++i) {
      Watch& watch = watches_[i];
      advance(watch, byte);
      n_longest = std::max(n_longest, watch.n_matched);
      const bool is_complete = watch.n_matched == watch.text.size();
      if (is_complete && (!is_met() || watch.text.size() > met().size())) {
        i_met_ = static_cast<int32_t>(i);
      }
    }
    if (is_met()) {
      shown_.append(held_, 0, held_.size() - met().size());
      held_.clear();
      return shown_;
    }
    const size_t n_free = held_.size() - n_longest;
    shown_.append(held_, 0, n_free);
    held_.erase(0, n_free);
  }
  return shown_;
}

std::string_view StopText::finish() {
  shown_ = held_;
  held_.clear();
  i_met_ = -1;
  for (Watch& watch : watches_) watch.n_matched = 0;
  return shown_;
}

}  // namespace reprise
