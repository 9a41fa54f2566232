#include "policies/refresh/prefix.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/refresh_passes.h"

namespace reprise {
namespace {

TEST(PrefixRefresh, ComputesTheSpanAndWhatFollows) {
  const auto policy = make_refresh_policy("prefix");
  const struct {
    RefreshView view;
    int32_t first, end;
  } cases[] = {
      {{.n_canvas = 100, .first = 40, .end = -1, .i_step = 0}, 0, 100},
      {{.n_canvas = 100, .first = 40, .end = 60, .i_step = 1, .n_since_full = 1}, 40, 100},
      {{.n_canvas = 100, .first = 40, .end = 60, .i_step = 90, .n_since_full = 90}, 40, 100},
      {{.n_canvas = 100, .first = 99, .end = 100, .i_step = 1, .n_since_full = 1}, 99, 100},
      {{.n_canvas = 100, .first = 0, .end = 60, .i_step = 1, .n_since_full = 1}, 0, 100},
  };
  for (const auto& c : cases) {
    const RefreshRows rows = policy->rows(c.view);
    EXPECT_EQ(rows.first, c.first);
    EXPECT_EQ(rows.end, c.end);
  }
}

TEST(PrefixRefresh, RefreshesEveryNthPass) {
  EXPECT_EQ(test::refresh_passes("prefix", 6), "FPPPPP");
  EXPECT_EQ(test::refresh_passes("prefix:every=1", 4), "FFFF");
  EXPECT_EQ(test::refresh_passes("prefix:every=2", 6), "FPFPFP");
  EXPECT_EQ(test::refresh_passes("prefix:every=3", 8), "FPPFPPFP");
}

TEST(PrefixRefresh, RefusesBadOptions) {
  for (const char* spec : {"prefix:every=-1", "prefix:every=65537", "prefix:before=4"}) {
    EXPECT_THROW(make_refresh_policy(spec), Error) << spec;
  }
}

}  // namespace
}  // namespace reprise
