#include "core/control_texts.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

namespace reprise {
namespace {

std::string found(std::initializer_list<std::string> texts, std::string_view in) {
  std::string out;
  const std::vector<std::string> list(texts);
  for (const auto& [begin, end] : ControlTexts(list).find(in)) {
    out += fmt::format("{}-{} ", begin, end);
  }
  return out;
}

TEST(ControlTexts, FindsByTable) {
  EXPECT_EQ(found({}, "<s>"), "");
  EXPECT_EQ(found({""}, "abc"), "");
  EXPECT_EQ(found({"<s>"}, ""), "");
  EXPECT_EQ(found({"<s>"}, "<s"), "");
  EXPECT_EQ(found({"<s>"}, "<s>a<s>"), "0-3 4-7 ");
  EXPECT_EQ(found({"ab", "bc", "abc"}, "abc"), "0-2 0-3 1-3 ");
  EXPECT_EQ(found({"aa"}, "aaa"), "0-2 1-3 ");
  EXPECT_EQ(found({"<\xC3\xA9>"}, "x<\xC3\xA9>"), "1-5 ");
}

TEST(ControlTexts, EqualsPlainSearchOnRandomText) {
  std::mt19937 random(7);
  const auto text = [&](size_t n) {
    std::string out(n, '\0');
    for (char& c : out) c = static_cast<char>('a' + random() % 2);
    return out;
  };
  for (int round = 0; round < 200; ++round) {
    std::set<std::string> texts;
    for (int i = 0; i < 4; ++i) texts.insert(text(1 + random() % 4));
    const std::string in = text(random() % 30);
    std::string want;
    for (size_t i = 0; i < in.size(); ++i) {
      for (size_t n = 1; n <= in.size() - i; ++n) {
        if (texts.contains(in.substr(i, n))) want += fmt::format("{}-{} ", i, i + n);
      }
    }
    std::string got;
    const std::vector<std::string> list(texts.begin(), texts.end());
    for (const auto& [begin, end] : ControlTexts(list).find(in)) {
      got += fmt::format("{}-{} ", begin, end);
    }
    EXPECT_EQ(got, want) << "seed 7, round " << round << ", in " << in;
  }
}

}  // namespace
}  // namespace reprise
