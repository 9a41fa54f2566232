#include "core/machine_bench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"

namespace reprise {
namespace {

using ::testing::ElementsAre;

TEST(MachineBench, CountsDoubleUpToTwiceTheCores) {
  EXPECT_THAT(machine_thread_counts(1), ElementsAre(1, 2));
  EXPECT_THAT(machine_thread_counts(2), ElementsAre(1, 2, 4));
  EXPECT_THAT(machine_thread_counts(6), ElementsAre(1, 2, 4, 6, 12));
  EXPECT_THAT(machine_thread_counts(300), ElementsAre(1, 2, 4, 8, 16, 32, 64, 128, 256, 300));
}

TEST(MachineBench, RooflineIsWhatTheRowsSay) {
  int32_t n_told = 0;
  const BenchReport report =
      bench_machine({.n_threads = 1, .n_runs = 1}, [&](const std::string&) { ++n_told; });
  EXPECT_EQ(n_told, 2);
  EXPECT_GT(report.machine.read_buffer_bytes, 0);
  ASSERT_EQ(report.rows.size(), 8U);
  ASSERT_EQ(report.rooflines.size(), 2U);
  for (size_t i = 0; i < 2; ++i) {
    const Roofline& roofline = report.rooflines[i];
    EXPECT_EQ(roofline.setting, static_cast<int64_t>(i + 1));
    EXPECT_DOUBLE_EQ(report.rows[4 * i].value("gb_s")->median, roofline.bytes_s * 1e-9);
    ASSERT_EQ(roofline.ceilings.size(), 3U);
    for (size_t k = 0; k < 3; ++k) {
      const BenchRow& row = report.rows[4 * i + k + 1];
      EXPECT_EQ(row.subject, roofline.ceilings[k].name);
      EXPECT_DOUBLE_EQ(row.value("gop_s")->median, roofline.ceilings[k].ops_s * 1e-9);
      EXPECT_DOUBLE_EQ(row.value("ridge_ops_a_byte")->median, roofline.ridge(roofline.ceilings[k]));
    }
  }
}

TEST(MachineBench, RefusesBadThreadCountsAndStopsWhenTold) {
  struct Stop {};
  const auto stop = [](const std::string&) { throw Stop(); };
  EXPECT_THROW(bench_machine({.n_threads = -1}, stop), Error);
  EXPECT_THROW(bench_machine({.n_threads = 513}, stop), Error);
  EXPECT_THROW(bench_machine({.n_threads = 1}, stop), Stop);
}

}  // namespace
}  // namespace reprise
