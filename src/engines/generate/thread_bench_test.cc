#include "engines/generate/thread_bench.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "core/error.h"
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
  int32_t n_turns = 0;
  const BenchReport report = run([&] { ++n_turns; });
  const auto n_cores = static_cast<int32_t>(std::thread::hardware_concurrency());
  const int32_t n_counts = n_cores == 1 ? 2 : 3;
  EXPECT_EQ(n_turns, n_counts * 2 * 2 * 2);  // sides, contexts, runs
  ASSERT_EQ(report.rows.size(), static_cast<size_t>(n_counts * 2 * 2));
  EXPECT_EQ(report.rows.front().setting, 1);
  EXPECT_EQ(report.rows.back().setting, 2 * n_cores);
  EXPECT_EQ(report.rows.front().subject, "full, context 16");
  for (const BenchRow& row : report.rows) {
    EXPECT_EQ(row.value("decode_tok_s")->n_runs, 2);
    EXPECT_GT(row.value("prefill_tok_s")->median, 0);
  }
  ASSERT_EQ(report.ratios.size(), 5U);
  EXPECT_EQ(report.ratios[0].key, "oversubscribed_" + std::to_string(2 * n_cores) + "_vs_" +
                                      std::to_string(n_cores) + "_threads");
  ASSERT_TRUE(report.ratios[0].target);
  for (const BenchRatio& ratio : report.ratios)
    EXPECT_LE(report.ratios[0].value.median, ratio.value.median) << ratio.key;
}

TEST_F(ThreadBenchTest, WithoutTwiceTheCoresNothingIsSaidAboutOversubscription) {
  options_.contexts = {16};
  options_.thread_counts = {1};
  const BenchReport report = run([] {});
  EXPECT_EQ(report.rows.size(), 2U);
  EXPECT_TRUE(report.ratios.empty());
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
