#include "core/quantities.h"

#include <gtest/gtest.h>

namespace reprise {
namespace {

TEST(Quantities, CountsAreGroupedByThrees) {
  const std::pair<int64_t, const char*> cases[] = {
      {0, "0"}, {999, "999"}, {1000, "1,000"}, {30720, "30,720"}, {-1234567, "-1,234,567"}};
  for (const auto& [n, text] : cases) EXPECT_EQ(format_count(n), text);
}

TEST(Quantities, BytesTakeBinaryUnits) {
  const std::pair<int64_t, const char*> cases[] = {{0, "0 B"},
                                                   {1023, "1023 B"},
                                                   {1024, "1.0 KiB"},
                                                   {23592960, "22.5 MiB"},
                                                   {(1 << 20) - 1, "1.0 MiB"},
                                                   {int64_t{3} << 40, "3.0 TiB"}};
  for (const auto& [n, text] : cases) EXPECT_EQ(format_bytes(n), text);
}

TEST(Quantities, SecondsTakeTheUnitThatFits) {
  const std::pair<double, const char*> cases[] = {
      {0, "0 us"},     {12e-6, "12 us"},      {0.035, "35 ms"},  {0.9999, "1.0 s"},
      {2.14, "2.1 s"}, {99.97, "1 min 40 s"}, {185, "3 min 5 s"}};
  for (const auto& [s, text] : cases) EXPECT_EQ(format_seconds(s), text);
}

}  // namespace
}  // namespace reprise
