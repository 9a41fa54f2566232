#include "core/token_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string>

#include "core/error.h"
#include "core/printable.h"
#include "core/tokenizer.h"

namespace reprise {
namespace {

// One part of a set: an id, or what the bytes of its tokens are.
struct Part {
  std::string_view text;
  bool (*matches)(std::string_view piece, std::string_view text) = nullptr;  // null: an id
  bool is_found = false;
};

bool holds_sentence_end(std::string_view piece) {
  // The ideographic full stop with its half-width form, and the full-width . ! ?
  constexpr std::string_view kWide[] = {"\u3002", "\uFF61", "\uFF0E", "\uFF01", "\uFF1F"};
  return piece.find_first_of(".!?") != std::string_view::npos ||
         std::ranges::any_of(
             kWide, [piece](auto mark) { return piece.find(mark) != std::string_view::npos; });
}

Part part_of(std::string_view text) {
  using Bytes = std::string_view;
  if (text == "newline") {
    return {text, [](Bytes piece, Bytes) { return piece.find('\n') != Bytes::npos; }};
  }
  if (text == "newline-exact") return {text, [](Bytes piece, Bytes) { return piece == "\n"; }};
  if (text == "sentence")
    return {text, [](Bytes piece, Bytes) { return holds_sentence_end(piece); }};
  if (text == "digit") {
    return {text,
            [](Bytes piece, Bytes) { return piece.find_first_of("0123456789") != Bytes::npos; }};
  }
  if (text.find_first_not_of("0123456789") == Bytes::npos) return {text, nullptr};
  return {text, [](Bytes piece, Bytes whole) { return piece == whole; }};
}

int32_t id_of(std::string_view digits) {
  int32_t id = -1;
  const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), id);
  if (code != std::errc()) {
    throw Error(fmt::format("token id {} is beyond every vocabulary", printable(digits)));
  }
  return id;
}

}  // namespace

TokenSet::TokenSet(int32_t n_vocab, const std::vector<int32_t>& ids)
    : bits_((static_cast<size_t>(n_vocab) + 63) / 64) {
  for (const int32_t id : ids) {
    if (id < 0 || id >= n_vocab) {
      throw Error(fmt::format("token id {} is outside the vocabulary of {} tokens (0..{})", id,
                              n_vocab, n_vocab - 1));
    }
    uint64_t& word = bits_[id / 64];
    const uint64_t bit = uint64_t{1} << (id % 64);
    if ((word & bit) == 0) ++n_;
    word |= bit;
  }
}

TokenSet TokenSet::parse(std::string_view text, const Tokenizer& tokenizer) {
  std::vector<Part> parts;
  std::vector<int32_t> ids;
  for (std::string_view rest = text;;) {
    const size_t plus = rest.find('+');
    const Part part = part_of(rest.substr(0, plus));
    if (part.text.empty()) {
      throw Error(
          fmt::format("token set '{}': a part is empty, write A+B; the token '+' goes by "
                      "its id",
                      printable(text)));
    }
    if (part.matches == nullptr) {
      ids.push_back(id_of(part.text));
    } else {
      parts.push_back(part);
    }
    if (plus == std::string_view::npos) break;
    rest.remove_prefix(plus + 1);
  }
  const int32_t n_vocab = tokenizer.n_vocab();
  for (int32_t id = 0; !parts.empty() && id < n_vocab; ++id) {
    const std::string piece = tokenizer.piece(id);  // nothing for control tokens
    for (Part& part : parts) {
      if (piece.empty() || !part.matches(piece, part.text)) continue;
      part.is_found = true;
      ids.push_back(id);
    }
  }
  for (const Part& part : parts) {
    if (part.is_found) continue;
    throw Error(fmt::format(
        "token set '{}': none of the {} tokens is '{}'; give newline, newline-exact, sentence, "
        "digit, token ids or the texts of single tokens, joined by +",
        printable(text), n_vocab, printable(part.text)));
  }
  return TokenSet(n_vocab, ids);
}

}  // namespace reprise
