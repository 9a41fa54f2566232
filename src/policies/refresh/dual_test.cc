#include "policies/refresh/dual.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/split_mix.h"
#include "support/refresh_passes.h"

namespace reprise {
namespace {

TEST(DualRefresh, ComputesTheSpanAndWhatIsAskedBesideIt) {
  const struct {
    const char* spec;
    RefreshView view;
    int32_t first, end;
  } cases[] = {
      {"dual", {.n_canvas = 100, .first = 40, .end = -1, .i_step = 0}, 0, 100},
      {"dual", {.n_canvas = 100, .first = 40, .end = 60, .i_step = 1, .n_since_full = 1}, 40, 60},
      {"dual:before=16,after=8",
       {.n_canvas = 100, .first = 40, .end = 60, .i_step = 1, .n_since_full = 1},
       24,
       68},
      {"dual:before=16,after=8",
       {.n_canvas = 100, .first = 10, .end = 95, .i_step = 1, .n_since_full = 1},
       0,
       100},
      {"dual:before=1",
       {.n_canvas = 100, .first = 0, .end = 1, .i_step = 1, .n_since_full = 1},
       0,
       1},
      {"dual:after=65536",
       {.n_canvas = 100, .first = 7, .end = 9, .i_step = 1, .n_since_full = 1},
       7,
       100},
  };
  for (const auto& c : cases) {
    const RefreshRows rows = make_refresh_policy(c.spec)->rows(c.view);
    EXPECT_EQ(rows.first, c.first) << c.spec;
    EXPECT_EQ(rows.end, c.end) << c.spec;
  }
}

TEST(DualRefresh, RefreshesEveryNthPass) {
  EXPECT_EQ(test::refresh_passes("dual", 6), "FPPPPP");
  EXPECT_EQ(test::refresh_passes("dual:every=1", 4), "FFFF");
  EXPECT_EQ(test::refresh_passes("dual:every=4,before=3", 10), "FPPPFPPPFP");
}

// What every refresh policy owes the engine.
TEST(DualRefresh, AsEveryRefreshHoldsTheSpanInsideTheCanvas) {
  for (uint64_t seed = 0; seed < 500; ++seed) {
    SplitMix64 rng(seed);
    const auto draw = [&rng](int32_t from, int32_t to) {  // both included
      return from + static_cast<int32_t>(rng.next() % (to - from + 1));
    };
    const int32_t n_canvas = draw(1, 300);
    const int32_t first = draw(0, n_canvas - 1);
    const int32_t i_step = draw(0, 9);
    const RefreshView view{.n_canvas = n_canvas,
                           .first = first,
                           .end = draw(first + 1, n_canvas),
                           .i_step = i_step,
                           .n_since_full = i_step == 0 ? 0 : draw(1, 9)};
    for (const char* spec : {"none", "prefix", "prefix:every=3", "dual", "dual:before=40,after=9",
                             "dual:every=5,after=300"}) {
      const RefreshRows rows = make_refresh_policy(spec)->rows(view);
      EXPECT_GE(rows.first, 0) << spec << " seed " << seed;
      EXPECT_LE(rows.first, view.first) << spec << " seed " << seed;
      EXPECT_GE(rows.end, view.end) << spec << " seed " << seed;
      EXPECT_LE(rows.end, n_canvas) << spec << " seed " << seed;
      EXPECT_TRUE(rows.n() == n_canvas || i_step > 0) << spec << " seed " << seed;
    }
  }
}

TEST(DualRefresh, RefusesBadOptions) {
  for (const char* spec : {"dual:every=-1", "dual:before=-1", "dual:after=65537", "dual:x=1"}) {
    EXPECT_THROW(make_refresh_policy(spec), Error) << spec;
  }
}

}  // namespace
}  // namespace reprise
