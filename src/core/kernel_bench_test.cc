#include "core/kernel_bench.h"

#include <gtest/gtest.h>

namespace reprise {
namespace {

TEST(KernelBench, MeasuresEveryKernelAgainstItsBound) {
  int32_t n_told = 0;
  const BenchReport report =
      bench_kernels({.n_threads = 1, .n_runs = 1}, [&](const std::string&) { ++n_told; });
  EXPECT_EQ(n_told, 3);  // preparing, warm-up and one round
  EXPECT_EQ(report.bench, "kernels");
  ASSERT_GT(report.rows.size(), 10U);
  for (const BenchRow& row : report.rows) {
    const bool is_machine = row.subject == "read memory" || row.subject.ends_with("multiply-add");
    EXPECT_EQ(row.value("share_of_bound") == nullptr, is_machine) << row.subject;
    EXPECT_NE(row.value("gb_s") == nullptr, row.value("gflop_s") == nullptr) << row.subject;
    for (const auto& [key, sample] : row.values) EXPECT_GT(sample.median, 0) << row.subject << key;
  }
  ASSERT_EQ(report.rooflines.size(), 1U);
  EXPECT_EQ(report.rooflines[0].ceilings.size(), 3U);
  EXPECT_EQ(report.rooflines[0].points.size(), report.rows.size() - 4);
  // The best cache type first, then every type.
  ASSERT_EQ(report.ratios.size(), 4U);
  const std::string key = "attention_entries_per_s_vs_f16_bound";
  const char* names[] = {"", "_f16", "_q8_0", "_q4_0"};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(report.ratios[i].key, key + names[i]);
    EXPECT_LE(report.ratios[i].value.median, report.ratios[0].value.median);
    EXPECT_EQ(report.ratios[i].target.has_value(), i == 0);
  }
}

TEST(KernelBench, StopsWhenTold) {
  struct Stop {};
  EXPECT_THROW(
      bench_kernels({.n_threads = 1, .n_runs = 1}, [](const std::string&) { throw Stop(); }), Stop);
}

}  // namespace
}  // namespace reprise
