#include "core/kernel_bench.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <tuple>

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
    EXPECT_NE(row.value("gb_s") == nullptr, row.value("gop_s") == nullptr) << row.subject;
    for (const auto& [key, sample] : row.values) EXPECT_GT(sample.median, 0) << row.subject << key;
  }
  // A share is of the kernel's own bound.
  const auto row = [&](const std::string& subject) -> const BenchRow& {
    const auto found = std::ranges::find(report.rows, subject, &BenchRow::subject);
    EXPECT_NE(found, report.rows.end()) << subject;
    return found == report.rows.end() ? report.rows.front() : *found;
  };
  const std::tuple<const char*, const char*, const char*> bounds[] = {
      {"integer product q4_1 x 512 tokens", "int8 multiply-add", "gop_s"},
      {"ggml product q4_1 x 512 tokens", "int8 multiply-add", "gop_s"},
      {"F32 product q4_1 x 512 tokens", "F32 multiply-add", "gop_s"},
      {"ggml product f16 x 512 tokens", "F32 multiply-add", "gop_s"},
      {"prefill attention f16", "F32 multiply-add", "gop_s"},
      {"product q4_1 x 1 token", "read memory", "gb_s"},
      {"decode attention q8_0, 7 heads of 64", "read memory", "gb_s"},
      {"decode attention f16, 4 heads of 128", "read memory", "gb_s"}};
  for (const auto& [subject, bound, column] : bounds) {
    EXPECT_DOUBLE_EQ(row(subject).value("share_of_bound")->median,
                     row(subject).value(column)->median / row(bound).value(column)->median)
        << subject;
  }
  ASSERT_EQ(report.rooflines.size(), 1U);
  EXPECT_EQ(report.rooflines[0].ceilings.size(), 3U);
  EXPECT_EQ(report.rooflines[0].points.size(), report.rows.size() - 4);
  // The best cache type first, then every type.
  ASSERT_EQ(report.ratios.size(), 4U);
  const std::string key = "attention_kernel_entries_per_s_vs_f16_bound";
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
