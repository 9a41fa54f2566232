#include "core/text_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace reprise {
namespace {

using testing::ElementsAre;

TEST(TextTable, AlignsCellsAndCountsCharactersNotBytes) {
  TextTable table({{"name"}, {"size", TextTable::Align::kRight}, {"where"}});
  table.add({"größe", "5", "a"});
  table.add({"b", "1,234", ""});
  EXPECT_EQ(table.text(),
            "name     size   where\n"
            "größe       5   a\n"
            "b       1,234\n");
}

TEST(TextTable, GoesOnInTheNextLine) {
  TextTable table({{"", TextTable::Align::kLeft, 0}, {"", TextTable::Align::kLeft, 9}});
  table.add({"key", "one two three"});
  table.add({"k", "x"});
  EXPECT_EQ(table.text(),
            "key   one two\n"
            "      three\n"
            "k     x\n");
}

TEST(TextTable, IsEmptyWithoutRows) {
  const TextTable table({{"name"}, {"size"}});
  EXPECT_TRUE(table.is_empty());
  EXPECT_EQ(table.text(), "name   size\n");
}

TEST(WrapText, BreaksAtSpacesAndBars) {
  EXPECT_THAT(wrap_text("", 5), ElementsAre(""));
  EXPECT_THAT(wrap_text("aa bb cc", 5), ElementsAre("aa bb", "cc"));
  EXPECT_THAT(wrap_text("aa|bb|cc", 6), ElementsAre("aa|bb|", "cc"));
  EXPECT_THAT(wrap_text("a longerthanwidth b", 4), ElementsAre("a", "longerthanwidth", "b"));
  EXPECT_THAT(wrap_text("aa bb cc", 8), ElementsAre("aa bb cc"));
}

}  // namespace
}  // namespace reprise
