#include "core/kernels/memory_sum.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <vector>

#include "core/kernels/simd_targets_test.h"

namespace reprise {
namespace {

TEST(MemorySum, IsThatOfAPlainLoop) {
  std::mt19937_64 random(7);
  std::vector<uint64_t> words(1000);
  for (uint64_t& word : words) word = random();  // sums wrap around
  for_each_simd_target([&](const char* target) {
    for (const size_t n_bytes : {0, 7, 8, 64, 255, 256, 264, 511, 4096, 7999, 8000}) {
      const uint64_t want = std::accumulate(
          words.begin(), words.begin() + static_cast<ptrdiff_t>(n_bytes / 8), uint64_t{0});
      EXPECT_EQ(memory_sum(reinterpret_cast<const std::byte*>(words.data()), n_bytes), want)
          << target << ", " << n_bytes << " bytes";
    }
  });
}

}  // namespace
}  // namespace reprise
