#include "core/utf8.h"

#include <fmt/format.h>

#include <cstdint>

#include "core/error.h"

namespace reprise {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

enum class Fault { kNone, kTruncated, kBadLead, kOverlong, kSurrogate, kTooLarge, kNoContinuation };

struct Step {
  size_t n_bytes;  // of the character, or of the maximal part of one when there is a fault
  Fault fault;
};

bool is_continuation(uint8_t byte) { return (byte & 0xC0) == 0x80; }

// A second byte outside of what its lead byte allows, although it is a continuation byte.
Fault second_byte_fault(uint8_t lead, uint8_t second) {
  if (lead == 0xE0 && second < 0xA0) return Fault::kOverlong;
  if (lead == 0xED && second > 0x9F) return Fault::kSurrogate;
  if (lead == 0xF0 && second < 0x90) return Fault::kOverlong;
  if (lead == 0xF4 && second > 0x8F) return Fault::kTooLarge;
  return Fault::kNone;
}

// The first character of a non-empty text.
Step first_character(std::string_view text) {
  const auto byte = [text](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {1, Fault::kNone};
  if (lead < 0xC0) return {1, Fault::kBadLead};
  if (lead < 0xC2) return {1, Fault::kOverlong};
  if (lead > 0xF4) return {1, lead < 0xF8 ? Fault::kTooLarge : Fault::kBadLead};
  const size_t n_bytes = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  for (size_t i = 1; i < n_bytes; ++i) {
    if (i == text.size()) return {i, Fault::kTruncated};
    if (!is_continuation(byte(i))) return {i, Fault::kNoContinuation};
    if (i == 1) {
      const Fault fault = second_byte_fault(lead, byte(1));
      if (fault != Fault::kNone) return {1, fault};
    }
  }
  return {n_bytes, Fault::kNone};
}

std::string_view meaning(Fault fault) {
  switch (fault) {
    case Fault::kTruncated:
      return "begins a character that the text's end cuts off";
    case Fault::kBadLead:
      return "cannot begin a character";
    case Fault::kOverlong:
      return "begins an overlong form";
    case Fault::kSurrogate:
      return "begins a UTF-16 surrogate";
    case Fault::kTooLarge:
      return "begins a character beyond U+10FFFF";
    case Fault::kNoContinuation:
      return "begins a character that is not continued";
    case Fault::kNone:
      break;
  }
  return "";
}

}  // namespace

void check_utf8(std::string_view text, std::string_view name) {
  size_t at = 0;
  while (at < text.size()) {
    const auto [n_bytes, fault] = first_character(text.substr(at));
    if (fault != Fault::kNone) {
      throw Error(fmt::format("{}: not UTF-8: byte 0x{:02X} at offset {} {}; convert it to UTF-8",
                              name, static_cast<uint8_t>(text[at]), at, meaning(fault)));
    }
    at += n_bytes;
  }
}

std::string_view Utf8Stream::push(std::string_view bytes) {
  pending_ += bytes;
  whole_.clear();
  size_t at = 0;
  while (at < pending_.size()) {
    const auto [n_bytes, fault] = first_character(std::string_view(pending_).substr(at));
    if (fault == Fault::kTruncated) break;
    if (fault == Fault::kNone) {
      whole_.append(pending_, at, n_bytes);
    } else {
      whole_ += kReplacement;
    }
    at += n_bytes;
  }
  pending_.erase(0, at);
  return whole_;
}

std::string_view Utf8Stream::finish() {
  whole_ = pending_.empty() ? std::string_view() : kReplacement;
  pending_.clear();
  return whole_;
}

}  // namespace reprise
