#include "engines/generate/weights_bench.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "core/error.h"
#include "nets/prompt_copies.h"
#include "support/tiny_model.h"

namespace reprise {
namespace {

class WeightsBenchTest : public ::testing::Test {
 protected:
  std::string path_ = (std::filesystem::temp_directory_path() /
                       ("reprise_weights_bench_" + std::to_string(getpid()) + ".gguf"))
                          .string();
  std::shared_ptr<const DecoderModel> model_;
  std::vector<int32_t> text_;
  WeightsBenchOptions options_{{}, {16, 64}, 1, 2, 1};

  void SetUp() override {
    test::write_tiny_model({.type = GGML_TYPE_Q4_0, .n_embd = 128, .n_embd_head = 32}, path_);
    model_ = DecoderModel::load(std::make_shared<GgufFile>(GgufFile::open(path_)));
    for (int32_t i = 0; i < 600; ++i) text_.push_back(7 * i % model_->hparams().n_vocab);
  }
  void TearDown() override { std::filesystem::remove(path_); }

  BenchReport run(const std::function<void()>& on_turn) {
    return bench_weights(model_, path_, text_, options_, on_turn);
  }
};

TEST_F(WeightsBenchTest, EveryWordAtEveryContext) {
  const BenchReport report = run([] {});
  const size_t n_words = weight_words().size();
  ASSERT_EQ(report.rows.size(), 2 * n_words);
  for (const BenchRow& row : report.rows) {
    EXPECT_EQ(row.value("prefill_tok_s")->n_runs, 2);
    EXPECT_EQ(row.value("copy_bytes") != nullptr, row.setting == 16);
  }
  ASSERT_EQ(report.ratios.size(), 2 * (n_words - 1) + n_words);
  const auto copy_bytes = [&](const char* word) {
    return std::ranges::find(report.rows, word, &BenchRow::subject)->value("copy_bytes")->median;
  };
  EXPECT_EQ(copy_bytes("as-is"), 0);
  EXPECT_EQ(copy_bytes("auto"), 0);  // Q4_0 has integer panels
  EXPECT_GT(copy_bytes("expand=q8_0"), 0);
  EXPECT_GT(copy_bytes("expand=f16"), copy_bytes("expand=q8_0"));
  // The references themselves.
  const auto f32 = std::ranges::find(report.rows, "expand=f32", &BenchRow::subject);
  EXPECT_EQ(f32->value("kl")->median, 0);
  const auto as_is = std::ranges::find(report.rows, "as-is", &BenchRow::subject);
  EXPECT_EQ(as_is->value("perplexity_change")->median, 0);
  EXPECT_GT(as_is->value("kl")->median, 0);
}

TEST_F(WeightsBenchTest, TakesTheWordsThatAreGiven) {
  options_.words = {"as-is", "expand=q8_0"};
  options_.contexts = {16};
  options_.n_scored_contexts = 0;
  const BenchReport report = run([] {});
  EXPECT_EQ(report.rows.size(), 2U);
  ASSERT_EQ(report.ratios.size(), 1U);
  EXPECT_EQ(report.ratios[0].key, "prefill_expand_q8_0_vs_as_is_16");
  EXPECT_EQ(report.rows[0].value("kl"), nullptr);
}

TEST_F(WeightsBenchTest, RefusesBadListsAndStopsWhenTold) {
  struct Stop {};
  EXPECT_THROW(run([] { throw Stop(); }), Stop);
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"expand"}, {"auto", "auto"}}) {
    options_.words = words;
    EXPECT_THROW(run([] {}), Error) << words.back();
  }
  options_.words = {};
  for (const std::vector<int32_t>& contexts : {std::vector<int32_t>{}, {64, 16}, {1}, {601}}) {
    options_.contexts = contexts;
    EXPECT_THROW(run([] {}), Error) << contexts.size();
  }
  options_.contexts = {16};
  options_.n_runs = 0;
  EXPECT_THROW(run([] {}), Error);
}

}  // namespace
}  // namespace reprise
