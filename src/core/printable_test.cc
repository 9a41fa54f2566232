#include "core/printable.h"

#include <gtest/gtest.h>

#include <tuple>

namespace reprise {
namespace {

TEST(Printable, EscapesByTable) {
  const std::tuple<std::string, std::string> cases[] = {
      {"", ""},
      {"blk.0.attn_q.weight", "blk.0.attn_q.weight"},
      {"\x1B[2J\x07\n", "\\x1B[2J\\x07\\x0A"},
      {"a\\b", "a\\x5Cb"},
      {std::string("a\0b", 3), "a\\x00b"},
      {"\u00E9\x7F", "\\xC3\\xA9\\x7F"},
      {std::string(80, 'a'), std::string(80, 'a')},
      {std::string(81, 'a'), std::string(80, 'a') + "..."}};
  for (const auto& [text, want] : cases) EXPECT_EQ(printable(text), want);
}

}  // namespace
}  // namespace reprise
