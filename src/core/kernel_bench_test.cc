#include "core/kernel_bench.h"

#include <gtest/gtest.h>

namespace reprise {
namespace {

TEST(KernelBench, MeasuresEveryKernelAgainstItsBound) {
  int32_t n_told = 0;
  const BenchReport report =
      bench_kernels({.n_threads = 1, .n_runs = 1}, [&](const std::string&) { ++n_told; });
  EXPECT_EQ(n_told, 2);  // warm-up and one round
  EXPECT_EQ(report.bench, "kernels");
  ASSERT_GT(report.rows.size(), 10U);
  for (const BenchRow& row : report.rows) {
    const bool is_machine = row.subject == "read memory" || row.subject == "F32 multiply-add";
    EXPECT_EQ(row.value("share_of_bound") == nullptr, is_machine) << row.subject;
    EXPECT_NE(row.value("gb_s") == nullptr, row.value("gflop_s") == nullptr) << row.subject;
    for (const auto& [key, sample] : row.values) EXPECT_GT(sample.median, 0) << row.subject << key;
  }
}

TEST(KernelBench, StopsWhenTold) {
  struct Stop {};
  EXPECT_THROW(
      bench_kernels({.n_threads = 1, .n_runs = 1}, [](const std::string&) { throw Stop(); }), Stop);
}

}  // namespace
}  // namespace reprise
