#include "policies/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "core/error.h"

namespace reprise {
namespace {

const std::vector<OptionSpec>& specs() {
  static const std::vector<OptionSpec> all = {
      budget_option("budget", "1024", "entries"),
      int_option("window", 32, 4, 256, "entries"),
      odd_int_option("pool", 5, 1, 15, "entries"),
      real_option("tau", 1, 0.1, 10, "exponent"),
      choice_option("decode", {"grow", "cake", "tova"}, "mode"),
      real_option("gate", 0.5, 0, std::numeric_limits<double>::infinity(), "probability"),
      text_option("ends", "newline", "tokens"),
  };
  return all;
}

Options read(std::string_view text) { return Options("--kv cake", specs(), text); }

TEST(Options, TakeDefaultsWhereNothingIsGiven) {
  const Options o = read("");
  EXPECT_EQ(o.budget("budget").kind, Budget::Kind::kEntries);
  EXPECT_EQ(o.budget("budget").value, 1024);
  EXPECT_EQ(o.i32("window"), 32);
  EXPECT_EQ(o.i32("pool"), 5);
  EXPECT_EQ(o.real("tau"), 1);
  EXPECT_EQ(o.choice("decode"), "grow");
  EXPECT_EQ(o.text("ends"), "newline");
  EXPECT_FALSE(o.is_given("window"));
  EXPECT_EQ(o.where(), "--kv cake");
}

TEST(Options, ReadEveryTypeUpToTheEndsOfItsRange) {
  const Options o = read("decode=tova,budget=64MiB,window=4,pool=15,tau=0.1");
  EXPECT_EQ(o.budget("budget").kind, Budget::Kind::kBytes);
  EXPECT_EQ(o.i32("window"), 4);
  EXPECT_EQ(o.i32("pool"), 15);
  EXPECT_EQ(o.real("tau"), 0.1);
  EXPECT_EQ(o.choice("decode"), "tova");
  EXPECT_TRUE(o.is_given("window"));
  EXPECT_EQ(read("tau=10").real("tau"), 10);
  EXPECT_EQ(read("tau=2.5e-1").real("tau"), 0.25);
  EXPECT_EQ(read("window=256").i32("window"), 256);
  EXPECT_EQ(read("budget=12.5%").budget("budget").value, 0.125);
  EXPECT_EQ(read("gate=inf").real("gate"), std::numeric_limits<double>::infinity());
  // Whatever a delimiter may look like.
  for (const std::string& text :
       std::vector<std::string>{"198+271", "=", "a b", "\\", "\u3002", std::string(256, 'x')}) {
    EXPECT_EQ(read("ends=" + text).text("ends"), text);
  }
}

TEST(Options, TellWhatMayBeGiven) {
  std::vector<std::string> ranges;
  for (const OptionSpec& spec : specs()) ranges.push_back(spec.range());
  EXPECT_THAT(ranges, ::testing::ElementsAre("N, 64MiB or 12.5%", "4..256", "1..15, odd", "0.1..10",
                                             "grow|cake|tova", "0..inf", "text"));
  EXPECT_EQ(specs()[3].default_text, "1");
}

TEST(Options, RefuseInOneLine) {
  const std::pair<const char*, const char*> cases[] = {
      {"budjet=1024",
       "--kv cake:budjet=1024: no option 'budjet', did you mean 'budget'? 'reprise policies' lists "
       "all"},
      {"x=1", "--kv cake:x=1: no option 'x'; 'reprise policies' lists all"},
      {"window=8,window=8", "--kv cake:window=8: 'window' is given twice, leave one out"},
      {"window",
       "--kv cake:window: the value is missing, write window=32 ('window' takes a whole number in "
       "4..256)"},
      {"window=",
       "--kv cake:window=: the value is missing, write window=32 ('window' takes a whole number in "
       "4..256)"},
      {"window=3", "--kv cake:window=3: '3' does not fit, 'window' takes a whole number in 4..256"},
      {"window=257",
       "--kv cake:window=257: '257' does not fit, 'window' takes a whole number in 4..256"},
      {"window=99999999999",
       "--kv cake:window=99999999999: '99999999999' does not fit, 'window' takes a whole number in "
       "4..256"},
      {"window=8x",
       "--kv cake:window=8x: '8x' does not fit, 'window' takes a whole number in 4..256"},
      {"window=8.0",
       "--kv cake:window=8.0: '8.0' does not fit, 'window' takes a whole number in 4..256"},
      {"pool=4", "--kv cake:pool=4: '4' does not fit, 'pool' takes an odd number in 1..15"},
      {"tau=0", "--kv cake:tau=0: '0' does not fit, 'tau' takes a number in 0.1..10"},
      {"tau=nan", "--kv cake:tau=nan: 'nan' does not fit, 'tau' takes a number in 0.1..10"},
      {"tau=inf", "--kv cake:tau=inf: 'inf' does not fit, 'tau' takes a number in 0.1..10"},
      {"tau=much", "--kv cake:tau=much: 'much' does not fit, 'tau' takes a number in 0.1..10"},
      {"decode=cakes",
       "--kv cake:decode=cakes: 'cakes' is unknown, did you mean 'cake'? 'decode' takes one of "
       "grow, cake, tova"},
      {"decode=?", "--kv cake:decode=?: '?' is unknown; 'decode' takes one of grow, cake, tova"},
      {"gate=-1", "--kv cake:gate=-1: '-1' does not fit, 'gate' takes a number in 0..inf"},
      {"gate=nan", "--kv cake:gate=nan: 'nan' does not fit, 'gate' takes a number in 0..inf"},
      {"ends=",
       "--kv cake:ends=: the value is missing, write ends=newline ('ends' takes UTF-8 text of at "
       "most 256 bytes without control characters)"},
      {"ends=a\nb",
       "--kv cake:ends=a\\x0Ab: 'a\\x0Ab' does not fit, 'ends' takes UTF-8 text of at most 256 "
       "bytes without control characters"},
      {"ends=\x1B[2J",
       "--kv cake:ends=\\x1B[2J: '\\x1B[2J' does not fit, 'ends' takes UTF-8 text of at most 256 "
       "bytes without control characters"},
      {"ends=\x7F",
       "--kv cake:ends=\\x7F: '\\x7F' does not fit, 'ends' takes UTF-8 text of at most 256 bytes "
       "without control characters"},
      {"window=8,", "--kv cake:: an option is missing, write key=value"},
      {",window=8", "--kv cake:: an option is missing, write key=value"},
      {"=8", "--kv cake:=8: no option ''; 'reprise policies' lists all"},
      {"window=8=9",
       "--kv cake:window=8=9: '8=9' does not fit, 'window' takes a whole number in 4..256"},
  };
  for (const auto& [text, message] : cases) {
    try {
      read(text);
      ADD_FAILURE() << "accepted " << text;
    } catch (const Error& e) {
      EXPECT_STREQ(e.what(), message);
    }
  }
}

TEST(Options, RefuseTextThatIsBrokenOrLong) {
  for (const std::string& text :
       {std::string("\xC3"), std::string("a\xFF"), std::string(257, 'x')}) {
    EXPECT_THROW(read("ends=" + text), Error) << text;
  }
}

TEST(Options, RefuseABudgetWithWhatIsAllowed) {
  try {
    read("budget=64MB");
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), ::testing::StartsWith("--kv cake:budget=64MB: '64MB' is no budget"));
    EXPECT_THAT(e.what(), ::testing::HasSubstr("12.5%"));
  }
}

}  // namespace
}  // namespace reprise
