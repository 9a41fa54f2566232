#include "core/read_bandwidth.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace reprise {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

// No machine reads slower than a floppy or faster than its caches could ever be.
TEST(ReadBandwidth, IsPlausible) {
  ReadBandwidth bandwidth(8 * kMiB);
  EXPECT_EQ(bandwidth.n_bytes(), 8 * kMiB);
  for (const int32_t n_threads : {1, 2}) {
    const double bytes_a_second = bandwidth.measure(Backend(n_threads));
    EXPECT_GT(bytes_a_second, 1e6);
    EXPECT_LT(bytes_a_second, 1e14);
  }
  EXPECT_THAT(bandwidth.description(), ::testing::HasSubstr("over 8.0 MiB in "));
}

TEST(ReadBandwidth, ReadsTwiceTheLastCacheWhereMemoryAllows) {
  constexpr int64_t kPlenty = 100000 * kMiB;
  EXPECT_EQ(ReadBandwidth::buffer_bytes(480 * kMiB, kPlenty), 960 * kMiB);
  EXPECT_EQ(ReadBandwidth::buffer_bytes(8 * kMiB, kPlenty), 256 * kMiB);
  EXPECT_EQ(ReadBandwidth::buffer_bytes(0, 0), 256 * kMiB);  // nothing is known
  EXPECT_EQ(ReadBandwidth::buffer_bytes(480 * kMiB, 0), 960 * kMiB);
  EXPECT_EQ(ReadBandwidth::buffer_bytes(480 * kMiB, 1000 * kMiB), 250 * kMiB);
  EXPECT_EQ(ReadBandwidth(1).n_bytes(), 2 * kMiB);  // a large page at least
}

}  // namespace
}  // namespace reprise
