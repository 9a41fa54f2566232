#include "engines/generate/thread_bench.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "core/error.h"
#include "core/machine_bench.h"
#include "core/usable_cores.h"
#include "support/tiny_model.h"

namespace reprise {
namespace {

class ThreadBenchTest : public ::testing::Test {
 protected:
  std::string path_ = (std::filesystem::temp_directory_path() /
                       ("reprise_thread_bench_" + std::to_string(getpid()) + ".gguf"))
                          .string();
  std::shared_ptr<const DecoderModel> model_;
  std::vector<int32_t> text_;
  ThreadBenchOptions options_{{16, 64}, {}, 2, 3};

  void SetUp() override {
    test::write_tiny_model({.n_embd = 128, .n_embd_head = 32}, path_);
    model_ = DecoderModel::load(std::make_shared<GgufFile>(GgufFile::open(path_)));
    for (int32_t i = 0; i < 100; ++i) text_.push_back(7 * i % model_->hparams().n_vocab);
  }
  void TearDown() override { std::filesystem::remove(path_); }

  BenchReport run(const std::function<void()>& on_turn) {
    return bench_threads(model_, path_, text_, options_, on_turn);
  }
};

TEST_F(ThreadBenchTest, EverySideAtEveryCountAndContext) {
  options_.n_runs = 1;  // twice as many threads as cores are slow on a busy machine
  int32_t n_turns = 0;
  const BenchReport report = run([&] { ++n_turns; });
  const int32_t n_cores = usable_cores();
  const auto n_counts = static_cast<int32_t>(machine_thread_counts(n_cores).size());
  const int32_t n_rows = (3 * n_counts + 1) * 2;  // ours once more on twice the cores; contexts
  EXPECT_EQ(n_turns, n_rows);
  ASSERT_EQ(report.rows.size(), static_cast<size_t>(n_rows));
  EXPECT_EQ(report.rows.front().setting, 1);
  EXPECT_EQ(report.rows.back().setting, 2 * n_cores);
  EXPECT_EQ(report.rows.front().subject, "full, context 16");
  EXPECT_EQ(report.rows.back().subject, "libllama flash, context 64");
  EXPECT_EQ(std::ranges::count_if(report.rows,
                                  [&](const BenchRow& row) {
                                    return row.setting == 2 * n_cores &&
                                           row.subject.starts_with("full, all threads started");
                                  }),
            2);
  for (const BenchRow& row : report.rows) {
    EXPECT_EQ(row.value("decode_tok_s")->n_runs, 1);
    EXPECT_GT(row.value("prefill_tok_s")->median, 0);
  }
  // For both kinds of oversubscription the worst and four of which it is that, then ours over
  // libllama.
  ASSERT_EQ(report.ratios.size(), static_cast<size_t>(5 + 5 + n_counts * 4));
  const std::string threads =
      "_" + std::to_string(2 * n_cores) + "_vs_" + std::to_string(n_cores) + "_threads";
  EXPECT_EQ(report.ratios[0].key, "asked_for" + threads);
  EXPECT_EQ(report.ratios[5].key, "oversubscribed" + threads);
  for (const size_t first : {0, 5}) {
    const BenchRatio& worst = report.ratios[first];
    ASSERT_TRUE(worst.target);
    for (size_t i = first + 1; i < first + 5; ++i)
      EXPECT_LE(worst.value.median, report.ratios[i].value.median) << report.ratios[i].key;
  }
  EXPECT_EQ(report.ratios[10].key, "decode_full_vs_libllama_1_threads_16");
  EXPECT_EQ(report.ratios.back().key,
            "prefill_full_vs_libllama_" + std::to_string(2 * n_cores) + "_threads_64");
}

TEST_F(ThreadBenchTest, PeersCountWithTheirFasterSetting) {
  options_.contexts = {16};
  options_.thread_counts = {1};
  options_.n_runs = 1;
  const BenchReport report = run([] {});
  ASSERT_EQ(report.rows.size(), 3U);
  ASSERT_EQ(report.ratios.size(), 2U);
  const auto speed = [&](size_t i, const char* column) {
    return report.rows[i].value(column)->median;
  };
  const char* columns[] = {"decode_tok_s", "prefill_tok_s"};
  for (size_t i = 0; i < 2; ++i) {
    const double peer = std::max(speed(1, columns[i]), speed(2, columns[i]));
    // Seconds became rates and rates a quotient: a few roundings.
    EXPECT_NEAR(report.ratios[i].value.median, speed(0, columns[i]) / peer,
                1e-9 * report.ratios[i].value.median);
  }
}

TEST_F(ThreadBenchTest, WithoutTwiceTheCoresNothingIsSaidAboutOversubscription) {
  options_.contexts = {16};
  options_.thread_counts = {1};
  const BenchReport report = run([] {});
  EXPECT_EQ(report.rows.size(), 3U);
  for (const BenchRow& row : report.rows) EXPECT_EQ(row.value("decode_tok_s")->n_runs, 2);
  for (const BenchRatio& ratio : report.ratios)
    EXPECT_NE(ratio.key.find("full_vs_libllama"), std::string::npos) << ratio.key;
}

TEST_F(ThreadBenchTest, RefusesBadListsAndStopsWhenTold) {
  struct Stop {};
  EXPECT_THROW(run([] { throw Stop(); }), Stop);
  const ThreadBenchOptions good = options_;
  for (const std::vector<int32_t>& counts :
       {std::vector<int32_t>{0, 1}, {2, 1}, {1, 1}, {1, 513}, {-1}}) {
    options_.thread_counts = counts;
    EXPECT_THROW(run([] {}), Error) << counts.back();
  }
  options_ = good;
  for (const std::vector<int32_t>& contexts : {std::vector<int32_t>{}, {64, 16}, {0}, {99}}) {
    options_.contexts = contexts;
    EXPECT_THROW(run([] {}), Error) << contexts.size();
  }
  options_ = good;
  options_.n_runs = 0;
  EXPECT_THROW(run([] {}), Error);
}

}  // namespace
}  // namespace reprise
