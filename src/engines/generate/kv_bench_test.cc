#include "engines/generate/kv_bench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "core/error.h"
#include "policies/registry.h"
#include "support/tiny_model_test.h"

namespace reprise {
namespace {

class KvBenchTest : public test::TinyModelTest {
 protected:
  std::vector<int32_t> text_;
  KvBenchOptions options_;

  void SetUp() override {
    load({.n_embd = 128, .n_embd_head = 32});
    text_ = tokens(300, 3);
    options_.contexts = {64, 400};
    options_.budget = 100;
    options_.n_runs = 2;
    options_.n_prefill_runs = 3;
    options_.n_decode = 3;
    options_.n_continuation = 5;
  }

  BenchReport run(const KvBenchEvents& events = {}) {
    return bench_kv(model_, path_, backend_, text_, options_, events);
  }
};

TEST_F(KvBenchTest, RunsEverySideAtEveryContext) {
  options_.more_policies = {"cake:budget=60,window=8,decode=cake"};
  int64_t n_last = 0;
  int64_t n_total = 0;
  int32_t n_parts = 0;
  KvBenchEvents events;
  events.on_begin = [&](const std::string&, int64_t n) { n_total = n; };
  events.on_progress = [&](int64_t n) { n_last = n; };
  events.on_end = [&] {
    EXPECT_EQ(n_last, n_total);
    ++n_parts;
  };
  const BenchReport report = run(events);
  EXPECT_EQ(n_parts, 6);  // prefill, quality and decode at two contexts
  // full, full in q8_0 and q4_0, two that replace, one without a cascade, the one more, libllama
  // with and without flash
  ASSERT_EQ(report.rows.size(), 2 * (kv_policies_with_budget().size() + 9));
  for (const BenchRow& row : report.rows) {
    EXPECT_GT(row.value("decode_tok_s")->median, 0) << row.subject;
    EXPECT_EQ(row.value("decode_tok_s")->n_runs, 2) << row.subject;
    EXPECT_EQ(row.value("prefill_tok_s")->n_runs, 3) << row.subject;
    const BenchSample* replacing = row.value("replace_share_of_decode");
    EXPECT_EQ(replacing != nullptr, row.subject.find("decode=") != std::string::npos)
        << row.subject;
    if (replacing != nullptr) {
      EXPECT_EQ(replacing->n_runs, 2);
      EXPECT_GT(replacing->low, 0);
      EXPECT_LT(replacing->high, 1);
    }
    const double kl = row.value("kl_nats")->median;
    if (row.subject == "full" || (row.setting == 64 && row.subject == "snapkv:budget=100")) {
      EXPECT_EQ(kl, 0) << row.subject;  // bitwise the full cache
      EXPECT_EQ(row.value("top1_agreement")->median, 1);
    } else if (row.setting == 400) {
      EXPECT_GT(kl, 0) << row.subject;
    }
    // libllama computes the same numbers in another order.
    if (row.subject.starts_with("libllama")) {
      EXPECT_LT(kl, 1e-3) << row.subject;
      // A context for 71 or 407 tokens has room for 256 or 512 entries of K and V in F16.
      const DecoderHparams& hp = model_->hparams();
      EXPECT_EQ(row.value("peak_kv_bytes")->median,
                (row.setting == 64 ? 256.0 : 512.0) * hp.n_layer * 2 * 2 * 32 * hp.n_head_kv);
    }
    if (row.setting == 400 && row.subject == "cake:budget=100") {
      EXPECT_EQ(row.value("kv_bytes")->median,
                100.0 * model_->hparams().n_layer * 2 * 2 * 32 * model_->hparams().n_head_kv);
    }
  }
  std::set<std::string> keys;
  for (const BenchRatio& ratio : report.ratios) keys.insert(ratio.key);
  for (const char* key :
       {"decode_full_vs_libllama_64", "prefill_full_vs_libllama_400",
        "decode_cake100_vs_libllama_400", "decode_cake100_share_of_bound_400",
        "prefill_cake_vs_full_400", "peak_kv_bytes_vs_formula", "peak_kv_without_vs_with_cascade",
        "score_cost_share_of_prefill", "replace_cost_share_of_decode",
        "replace_cost_share_of_decode_tova", "decode_replacing_vs_growing_400"}) {
    EXPECT_TRUE(keys.contains(key)) << key;
  }
  for (const BenchRatio& ratio : report.ratios) {
    if (ratio.key == "barrier_share_of_decode") {
      EXPECT_EQ(ratio.value.n_runs, 5);
    }
    if (ratio.key == "peak_kv_without_vs_with_cascade") {
      EXPECT_GT(ratio.value.median, 1);
    }
  }
}

TEST_F(KvBenchTest, QuickLeavesOutWhatIsTheFullCacheAnyway) {
  options_.contexts = {64};
  options_.skips_slack = true;
  options_.has_all_policies = false;
  std::vector<std::string> subjects;
  for (const BenchRow& row : run().rows) subjects.push_back(row.subject);
  EXPECT_THAT(subjects,
              ::testing::ElementsAre("full", "full:type=q8_0", "libllama", "libllama flash"));
}

TEST_F(KvBenchTest, WhatProgressThrowsStopsIt) {
  KvBenchEvents events;
  events.on_progress = [](int64_t n) {
    if (n > 100) throw Error("stop");
  };
  EXPECT_THROW(run(events), Error);
}

TEST_F(KvBenchTest, RefusesBadOptions) {
  const KvBenchOptions good = options_;
  for (const std::vector<int32_t>& contexts :
       {std::vector<int32_t>{}, {400, 64}, {64, 64}, {3}, {1 << 20}}) {
    options_.contexts = contexts;
    EXPECT_THROW(run(), Error) << contexts.size();
  }
  options_ = good;
  options_.n_runs = 0;
  EXPECT_THROW(run(), Error);
  options_ = good;
  options_.n_prefill_runs = 0;
  EXPECT_THROW(run(), Error);
  options_ = good;
  options_.more_policies = {"cke"};
  EXPECT_THROW(run(), Error);
  options_ = good;
  text_.resize(5);
  EXPECT_THROW(run(), Error);
}

}  // namespace
}  // namespace reprise
