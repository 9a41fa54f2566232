#include "policies/refresh/none.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace reprise {
namespace {

TEST(NoneRefresh, ComputesEverything) {
  const auto policy = make_refresh_policy("none");
  for (int32_t i_step = 0; i_step < 5; ++i_step) {
    const RefreshRows rows = policy->rows(
        {.n_canvas = 100, .first = 40, .end = 60, .i_step = i_step, .n_since_full = 0});
    EXPECT_EQ(rows.first, 0);
    EXPECT_EQ(rows.end, 100);
    EXPECT_EQ(rows.n(), 100);
  }
  EXPECT_THROW(make_refresh_policy("none:every=1"), Error);
}

}  // namespace
}  // namespace reprise
