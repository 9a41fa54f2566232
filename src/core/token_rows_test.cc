#include "core/token_rows.h"

#include <gtest/gtest.h>

#include <vector>

namespace reprise {
namespace {

TEST(TokenRows, ScratchStartsAtMultiplesOf16Values) {
  for (int64_t n = 0; n < 100; ++n) {
    EXPECT_EQ(aligned_values(n) % 16, 0);
    EXPECT_GE(aligned_values(n), n);
    EXPECT_LT(aligned_values(n), n + 16);
  }
}

TEST(TokenRows, AddsTheVectorsRowsFromTheFirstOn) {
  std::vector<float> values = {1, 2, 3, 4, 5};
  ggml_tensor vector{};
  vector.data = values.data();
  std::vector<float> y = {10, 20, 30};
  add_rows(&vector, 2, 2, y.data());
  EXPECT_EQ(y, (std::vector<float>{13, 24, 30}));
  add_rows(nullptr, 2, 2, y.data());
  EXPECT_EQ(y, (std::vector<float>{13, 24, 30}));
}

}  // namespace
}  // namespace reprise
