#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace reprise {

// Throws Error unless `text` is well-formed UTF-8 (Unicode 15, table 3-7). `name` says in the
// message what the text is ("prompt", a path); the offset is that of the first bad byte.
void check_utf8(std::string_view text, std::string_view name);

// Joins the bytes of tokens into whole characters: a token may end inside a character, a terminal
// or a JSON string must not. Bytes that can never become a character turn into U+FFFD, one for each
// maximal part of a sequence, as browsers do it.
class Utf8Stream {
 public:
  // Takes the next bytes and returns what is whole by now, maybe nothing. The view holds until the
  // next call.
  std::string_view push(std::string_view bytes);
  // Ends the text: a begun character becomes U+FFFD. The view holds until the next call; the stream
  // is as new afterwards.
  std::string_view finish();

 private:
  std::string pending_;  // the bytes of a begun character
  std::string whole_;
};

}  // namespace reprise
