#include "core/utf8.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <random>

#include "core/error.h"

namespace reprise {
namespace {

using ::testing::HasSubstr;

std::string fault_of(std::string_view text) {
  try {
    check_utf8(text, "prompt");
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

// UTF-8 of any number below 2^21, also of those that are no characters.
std::string encode(uint32_t c) {
  const auto tail = [c](int shift) { return static_cast<char>(0x80 | ((c >> shift) & 0x3F)); };
  if (c < 0x80) return {static_cast<char>(c)};
  if (c < 0x800) return {static_cast<char>(0xC0 | (c >> 6)), tail(0)};
  if (c < 0x10000) return {static_cast<char>(0xE0 | (c >> 12)), tail(6), tail(0)};
  return {static_cast<char>(0xF0 | (c >> 18)), tail(12), tail(6), tail(0)};
}

TEST(CheckUtf8, AcceptsExactlyTheCharacters) {
  for (uint32_t c = 0; c < 0x1FFFFF; c += c < 0x20000 ? 1 : 251) {
    const bool is_character = c <= 0x10FFFF && (c < 0xD800 || c > 0xDFFF);
    EXPECT_EQ(fault_of(encode(c)).empty(), is_character) << c;
  }
  EXPECT_EQ(fault_of(""), "");
}

TEST(CheckUtf8, NamesTheByteAndItsFault) {
  const std::tuple<std::string, std::string, std::string> cases[] = {
      {"ab\x80", "0x80 at offset 2", "cannot begin"},
      {"\xFF", "0xFF at offset 0", "cannot begin"},
      {"\xC3\xA9\xC0\xAF", "0xC0 at offset 2", "overlong"},
      {"\xE0\x9F\xBF", "0xE0 at offset 0", "overlong"},
      {"\xF0\x8F\xBF\xBF", "0xF0 at offset 0", "overlong"},
      {"a\xED\xA0\x80", "0xED at offset 1", "surrogate"},
      {"\xF4\x90\x80\x80", "0xF4 at offset 0", "beyond U+10FFFF"},
      {"\xF5\x80\x80\x80", "0xF5 at offset 0", "beyond U+10FFFF"},
      {"abc\xE2\x82", "0xE2 at offset 3", "cuts off"},
      {"\xE2\x82z", "0xE2 at offset 0", "not continued"},
      {"\xC3z", "0xC3 at offset 0", "not continued"}};
  for (const auto& [text, where, what] : cases) {
    EXPECT_THAT(fault_of(text), HasSubstr("prompt: "));
    EXPECT_THAT(fault_of(text), HasSubstr(where));
    EXPECT_THAT(fault_of(text), HasSubstr(what));
  }
}

TEST(Utf8Stream, HoldsABegunCharacter) {
  Utf8Stream stream;
  EXPECT_EQ(stream.push("a\xF0\x9F"), "a");
  EXPECT_EQ(stream.push("\x98"), "");
  EXPECT_EQ(stream.push("\x80z"), "\xF0\x9F\x98\x80z");
  EXPECT_EQ(stream.finish(), "");
  EXPECT_EQ(stream.push("b\xE2\x82"), "b");
  EXPECT_EQ(stream.finish(), "\xEF\xBF\xBD");
  EXPECT_EQ(stream.push("c"), "c");  // nothing of the text before is left
}

TEST(Utf8Stream, ReplacesEachMaximalBrokenPart) {
  const std::pair<std::string, std::string> cases[] = {
      {"a\x80z", "a\uFFFDz"},
      {"\xF0\x90\x80z", "\uFFFDz"},              // three bytes of one character
      {"\xE0\x80\x80z", "\uFFFD\uFFFD\uFFFDz"},  // 0x80 cannot follow 0xE0
      {"\xED\xA0\x80z", "\uFFFD\uFFFD\uFFFDz"},  // a surrogate
      {"\xC3\xC3\xA9z", "\uFFFD\u00E9z"}};       // a new character begins too early
  for (const auto& [bytes, want] : cases) {
    Utf8Stream stream;
    EXPECT_EQ(stream.push(bytes), want);
  }
}

TEST(Utf8Stream, GivesTheSameForEverySplit) {
  for (uint32_t seed = 0; seed < 300; ++seed) {
    std::mt19937 rng(seed);
    std::string bytes;
    for (int i = 0; i < 30; ++i) {
      bytes += rng() % 4 == 0 ? std::string(1, static_cast<char>(rng())) : encode(rng() % 0x110000);
    }
    Utf8Stream whole;
    std::string want(whole.push(bytes));
    want += whole.finish();
    ASSERT_EQ(fault_of(want), "") << "seed " << seed;
    Utf8Stream split;
    std::string got;
    for (size_t at = 0; at < bytes.size();) {
      const size_t n = rng() % 5;
      const std::string_view piece = split.push(std::string_view(bytes).substr(at, n));
      ASSERT_EQ(fault_of(piece), "") << "seed " << seed;
      got += piece;
      at += n;
    }
    got += split.finish();
    EXPECT_EQ(got, want) << "seed " << seed;
  }
}

}  // namespace
}  // namespace reprise
