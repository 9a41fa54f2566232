#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace reprise {

// Watches a stream of text for stop strings. Text is given out as soon as it can no longer be part
// of one; the stop string itself and what follows it never are. How the text is cut into pieces
// does not matter: the stop string that ends first wins, and of several that end at the same byte
// the longest. Whole characters in give whole characters out.
class StopText {
 public:
  // Throws Error for a stop string that is empty or not UTF-8 (--stop).
  explicit StopText(std::vector<std::string> stops);

  // Takes the next text and returns what may be shown by now. The view holds until the next call.
  // After a stop string was met it returns nothing.
  std::string_view push(std::string_view text);
  // The text ended without a stop string: returns what was held back. The view holds until the next
  // call; the stream is as new afterwards.
  std::string_view finish();

  bool is_met() const { return i_met_ >= 0; }
  // The stop string that was met. Only when is_met().
  const std::string& met() const { return watches_[i_met_].text; }

 private:
  // One stop string as a Knuth-Morris-Pratt automaton over bytes.
  struct Watch {
    std::string text;
    std::vector<size_t> border;  // [i]: longest proper border of the first i + 1 bytes
    size_t n_matched = 0;        // longest prefix of `text` that ends the stream so far
  };
  static Watch make_watch(std::string text);
  static void advance(Watch& watch, char byte);

  std::vector<Watch> watches_;
  int32_t i_met_ = -1;
  std::string held_;   // what may still be the begin of a stop string
  std::string shown_;  // what the last call gave out
};

}  // namespace reprise
