#include "core/deep_stack.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace reprise {
namespace {

// A frame of at least 256 bytes for each level.
int64_t depth(int64_t n) {
  volatile char frame[256];
  frame[0] = 1;
  return n == 0 ? 0 : depth(n - 1) + frame[0];
}

TEST(DeepStack, HoldsWhatNoThreadHolds) {
  int64_t n = 0;
  on_deep_stack(size_t{1} << 30, [&n] { n = depth(200'000); });
  EXPECT_EQ(n, 200'000);
}

TEST(DeepStack, LetsExceptionsThrough) {
  EXPECT_THROW(on_deep_stack(1 << 20, [] { throw Error("thrown inside"); }), Error);
}

TEST(DeepStack, RefusesWhatNoAddressSpaceHolds) {
  EXPECT_THROW(on_deep_stack(size_t{1} << 60, [] {}), Error);
}

}  // namespace
}  // namespace reprise
