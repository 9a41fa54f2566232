#include "core/read_bandwidth.h"

#include <gtest/gtest.h>

namespace reprise {
namespace {

// No machine reads slower than a floppy or faster than its caches could ever be.
TEST(ReadBandwidth, IsPlausible) {
  for (const int32_t n_threads : {1, 2}) {
    const Backend backend(n_threads);
    ReadBandwidth bandwidth(backend, int64_t{8} << 20);
    const double bytes_a_second = bandwidth.measure();
    EXPECT_GT(bytes_a_second, 1e6);
    EXPECT_LT(bytes_a_second, 1e14);
  }
}

}  // namespace
}  // namespace reprise
