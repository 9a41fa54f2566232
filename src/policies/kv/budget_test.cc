#include "policies/kv/budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"

namespace reprise {
namespace {

using Kind = Budget::Kind;

TEST(Budget, ReadsEntriesBytesAndShares) {
  const struct {
    const char* text;
    Kind kind;
    double value;
  } cases[] = {
      {"1024", Kind::kEntries, 1024},
      {"1", Kind::kEntries, 1},
      {"2147483647", Kind::kEntries, 2147483647},
      {"64MiB", Kind::kBytes, 67108864},
      {"1.5GiB", Kind::kBytes, 1610612736},
      {"512KiB", Kind::kBytes, 524288},
      {"12.5%", Kind::kShare, 0.125},
      {"100%", Kind::kShare, 1},
  };
  for (const auto& c : cases) {
    const Budget got = parse_budget(c.text);
    EXPECT_EQ(got.kind, c.kind) << c.text;
    EXPECT_EQ(got.value, c.value) << c.text;
    EXPECT_EQ(to_string(got), c.text);
  }
}

TEST(Budget, WritesWhatItReads) {
  const Budget budgets[] = {{Kind::kBytes, 1000},     {Kind::kBytes, 100000001},
                            {Kind::kBytes, 1 << 20},  {Kind::kShare, 0.07},
                            {Kind::kEntries, 123457}, {Kind::kShare, 0.001}};
  for (const Budget& budget : budgets) {
    const Budget got = parse_budget(to_string(budget));
    EXPECT_EQ(got.kind, budget.kind) << to_string(budget);
    EXPECT_DOUBLE_EQ(got.value, budget.value) << to_string(budget);
  }
  EXPECT_EQ(to_string(Budget{}), "unlimited");
}

TEST(Budget, RefusesAndSaysWhatIsAllowed) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "does not start with a number"},
      {"much", "does not start with a number"},
      {"-5", "above zero"},
      {"0", "above zero"},
      {"0%", "above zero"},
      {"nan", "too large"},
      {"inf", "too large"},
      {"10.5", "entries are whole"},
      {"3000000000", "too large"},
      {"1e3", "'e3' is no unit"},
      {"100.1%", "ends at 100%"},
      {"64MB", "'MB' is no unit"},
      {"64 MiB", "' MiB' is no unit"},
      {"2000000GiB", "too large"},
      {"99999999999999999999999999", "too large"},
  };
  for (const auto& [text, why] : cases) {
    try {
      parse_budget(text);
      ADD_FAILURE() << "accepted '" << text << "'";
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), ::testing::HasSubstr(why)) << text;
      EXPECT_THAT(e.what(), ::testing::HasSubstr("64MiB")) << text;
    }
  }
}

}  // namespace
}  // namespace reprise
