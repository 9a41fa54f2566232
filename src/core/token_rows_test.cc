#include "core/token_rows.h"

#include <gtest/gtest.h>

#include <vector>

namespace reprise {
namespace {

TEST(TokenRows, PartsCoverEveryRowOnce) {
  for (const int32_t n_threads : {1, 2, 3, 5, 16, 64, 512}) {
    for (const int64_t n_rows : {1, 15, 16, 17, 192, 576, 1535, 1536, 49152, 262144}) {
      const int64_t part_rows = rows_of_a_part(n_rows, n_threads);
      EXPECT_EQ(part_rows % 16, 0) << n_rows << " rows, threads " << n_threads;
      EXPECT_GE(part_rows, 16);
      EXPECT_LE(part_rows, kMostPartRows);
      const int64_t n_parts = row_parts(n_rows, part_rows);
      EXPECT_GE(n_parts * part_rows, n_rows);        // all of them
      EXPECT_LT((n_parts - 1) * part_rows, n_rows);  // and no part without any
    }
  }
}

TEST(TokenRows, EveryThreadHasSeveralPartsOfALargeProduct) {
  for (const int32_t n_threads : {1, 2, 5, 16}) {
    const int64_t n_rows = 49152;
    EXPECT_GE(row_parts(n_rows, rows_of_a_part(n_rows, n_threads)), 12 * n_threads);
  }
}

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
