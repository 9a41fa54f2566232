#include "core/stop_text.h"

#include <gtest/gtest.h>

#include <random>

#include "core/error.h"

namespace reprise {
namespace {

struct Seen {
  std::string text;
  std::string met;
  bool operator==(const Seen&) const = default;
};

Seen watch(const std::vector<std::string>& stops, const std::vector<std::string>& pieces) {
  StopText stop_text(stops);
  Seen seen;
  for (const std::string& piece : pieces) seen.text += stop_text.push(piece);
  if (stop_text.is_met()) {
    seen.met = stop_text.met();
  } else {
    seen.text += stop_text.finish();
  }
  return seen;
}

std::ostream& operator<<(std::ostream& out, const Seen& seen) {
  return out << '"' << seen.text << "\" met \"" << seen.met << '"';
}

TEST(StopText, StopsByTable) {
  const struct {
    std::vector<std::string> stops;
    std::vector<std::string> pieces;
    Seen want;
  } cases[] = {
      {{}, {"a", "b"}, {"ab", ""}},
      {{"END"}, {"xEN", "Dy"}, {"x", "END"}},
      {{"END"}, {"xEN", "d"}, {"xENd", ""}},
      {{"END"}, {"xEN"}, {"xEN", ""}},                // the text ends inside
      {{"END"}, {"EEND"}, {"E", "END"}},              // falls back to a shorter prefix
      {{"aab"}, {"a", "a", "a", "b"}, {"a", "aab"}},  // the same, over pieces
      {{"abcd", "bc"}, {"xabcd"}, {"xa", "bc"}},      // the one that ends first
      {{"b", "ab"}, {"xab"}, {"x", "ab"}},            // the longest of those that end together
      {{"\n\n", "\nUser:"}, {"hi\n", "User: x"}, {"hi", "\nUser:"}},
      {{"\u00EA"}, {"\u00E9", "\u00EA", "z"}, {"\u00E9", "\u00EA"}},  // share their first byte
      {{"x"}, {"", "x", ""}, {"", "x"}}};
  for (const auto& c : cases) EXPECT_EQ(watch(c.stops, c.pieces), c.want);
}

TEST(StopText, GivesOutNothingAfterTheStop) {
  StopText stop_text({"."});
  EXPECT_EQ(stop_text.push("a.b"), "a");
  EXPECT_EQ(stop_text.push("c"), "");
  EXPECT_EQ(stop_text.finish(), "");
  EXPECT_FALSE(stop_text.is_met());
  EXPECT_EQ(stop_text.push("d"), "d");  // as new
}

TEST(StopText, RefusesUselessStops) {
  EXPECT_THROW(StopText({"a", ""}), Error);
  EXPECT_THROW(StopText({"a\xC3"}), Error);
}

// What the whole text gives, byte by byte, without an automaton.
Seen oracle(const std::vector<std::string>& stops, const std::string& text) {
  for (size_t n = 1; n <= text.size(); ++n) {
    std::string met;
    for (const std::string& stop : stops) {
      if (std::string_view(text).substr(0, n).ends_with(stop) && stop.size() > met.size()) {
        met = stop;
      }
    }
    if (!met.empty()) return {text.substr(0, n - met.size()), met};
  }
  return {text, ""};
}

// The longest end of the text that begins one of the stop strings.
size_t n_undecided(const std::vector<std::string>& stops, std::string_view text) {
  size_t n_longest = 0;
  for (const std::string& stop : stops) {
    for (size_t n = 1; n < stop.size(); ++n) {
      if (text.ends_with(stop.substr(0, n))) n_longest = std::max(n_longest, n);
    }
  }
  return n_longest;
}

TEST(StopText, EqualsTheOracleForEverySplit) {
  int n_met = 0;
  for (uint32_t seed = 0; seed < 3000; ++seed) {
    std::mt19937 rng(seed);
    const auto word = [&rng](size_t n) {
      std::string s(n, 'a');
      for (char& c : s) c = static_cast<char>('a' + rng() % 2);
      return s;
    };
    std::vector<std::string> stops(1 + rng() % 3);
    for (std::string& stop : stops) stop = word(2 + rng() % 6);
    const std::string text = word(30);
    const Seen want = oracle(stops, text);
    StopText stop_text(stops);
    std::string got;
    size_t at = 0;
    while (at < text.size() && !stop_text.is_met()) {
      const size_t n = std::min<size_t>(rng() % 4, text.size() - at);
      got += stop_text.push(std::string_view(text).substr(at, n));
      at += n;
      if (!stop_text.is_met()) {  // nothing is held back longer than it must be
        ASSERT_EQ(got.size() + n_undecided(stops, std::string_view(text).substr(0, at)), at)
            << "seed " << seed;
      }
    }
    const Seen seen{stop_text.is_met() ? got : got + std::string(stop_text.finish()), want.met};
    EXPECT_EQ(seen, want) << "seed " << seed;
    n_met += want.met.empty() ? 0 : 1;
  }
  EXPECT_GT(n_met, 1000);
  EXPECT_LT(n_met, 2900);
}

}  // namespace
}  // namespace reprise
