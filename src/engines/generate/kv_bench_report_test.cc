#include "engines/generate/kv_bench_report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace reprise {
namespace {

KvMeasured measured(const std::string& name, KvMeasured::Side side, std::vector<double> prefill_s,
                    std::vector<double> decode_s) {
  KvMeasured m;
  m.name = name;
  m.side = side;
  m.prefill_s = std::move(prefill_s);
  m.decode_s = std::move(decode_s);
  return m;
}

// A machine slower in its second round: only ratios within a round are right.
std::vector<KvContextMeasured> example() {
  using Side = KvMeasured::Side;
  std::vector<KvContextMeasured> contexts(2);
  contexts[0].context = 128;
  contexts[0].contestants = {measured("full", Side::kPolicy, {1, 2}, {0.010, 0.020}),
                             measured("libllama", Side::kPeer, {2, 4}, {0.011, 0.022}),
                             measured("libllama flash", Side::kPeer, {1.5, 3}, {0.012, 0.024})};
  contexts[1].context = 8000;
  contexts[1].contestants = {
      measured("full", Side::kPolicy, {80, 160}, {0.040, 0.080}),
      measured("cake:budget=1024", Side::kPolicy, {80, 160}, {0.020, 0.040}),
      measured("libllama", Side::kPeer, {80, 160}, {0.042, 0.084}),
      measured("full:type=q8_0", Side::kPolicy, {80, 160}, {0.025, 0.050}),
      measured("cake:budget=1024,decode=cake", Side::kPolicy, {80, 160}, {0.025, 0.050}),
      measured("cake:budget=1024,decode=tova", Side::kPolicy, {80, 160}, {0.016, 0.032}),
      measured("cake:budget=1024,cascade=off", Side::kPolicy, {80, 160}, {0.020, 0.040})};
  contexts[1].contestants[0].full_cache_type = "f16";
  contexts[1].contestants[0].kv_read_bytes = 150'000'000;
  contexts[1].contestants[3].full_cache_type = "q8_0";
  contexts[1].contestants[4].replace_share = {0.03, 0.03};
  contexts[1].contestants[5].replace_share = {0.02, 0.02};
  contexts[1].contestants[6].peak_kv_bytes = 990;
  KvMeasured& cake = contexts[1].contestants[1];
  cake.kv_read_bytes = 20'000'000;
  cake.peak_kv_bytes = 99;
  cake.peak_formula_bytes = 100;
  cake.peak_rss_bytes = 200;
  cake.policy_share = {0.005, 0.005};
  cake.copy_share = {0.002, 0.002};
  cake.quality = KvMeasured::Quality{0.01, 0.9};
  contexts[1].contestants[0].peak_rss_bytes = 300;
  contexts[1].empty_s = {0.010, 0.020};
  contexts[1].bandwidth = {20e9, 10e9};
  return contexts;
}

TEST(KvBenchReport, RatiosCompareWhatRanSideBySide) {
  BenchReport report;
  fill_kv_report(example(), KvRatioSubjects::of_budget(1024), 1000, report);
  std::map<std::string, BenchSample> ratios;
  for (const BenchRatio& ratio : report.ratios) ratios[ratio.key] = ratio.value;
  const std::map<std::string, double> want = {
      {"decode_full_vs_libllama_128", 1.1},   // flash off is the faster one
      {"prefill_full_vs_libllama_128", 1.5},  // flash on is
      {"decode_full_vs_libllama_8000", 1.05},
      {"prefill_full_vs_libllama_8000", 1},
      {"decode_cake1024_vs_libllama_8000", 2.1},
      // (10 ms + 1 ms) / 20 ms and (20 ms + 2 ms) / 40 ms
      {"decode_cake1024_share_of_bound_8000", 0.55},
      {"prefill_cake_vs_full_8000", 1},
      {"peak_kv_bytes_vs_formula", 0.99},
      {"peak_rss_vs_full", 1.5},
      {"peak_kv_without_vs_with_cascade", 10},
      {"score_cost_share_of_prefill", 0.003},
      {"copy_cost_share_of_prefill", 0.002},
      {"replace_cost_share_of_decode", 0.03},
      {"decode_replacing_vs_growing_8000", 0.8},
      {"replace_cost_share_of_decode_tova", 0.02},
      {"decode_replacing_vs_growing_8000_tova", 1.25},
      // 150 MB would take 7.5 ms in the first round; attention took 30 ms, in Q8_0 15.
      {"attention_entries_per_s_vs_f16_bound", 0.5},
      {"attention_entries_per_s_vs_f16_bound_f16", 0.25},
      {"attention_entries_per_s_vs_f16_bound_q8_0", 0.5}};
  ASSERT_EQ(ratios.size(), want.size());
  for (const auto& [key, value] : want) {
    ASSERT_TRUE(ratios.contains(key)) << key;
    EXPECT_NEAR(ratios[key].median, value, 1e-9) << key;
    EXPECT_NEAR(ratios[key].low, ratios[key].high, 1e-9) << key;  // both rounds agree
  }
}

TEST(KvBenchReport, TargetsStandWhereTheyWereSet) {
  BenchReport report;
  fill_kv_report(example(), KvRatioSubjects::of_budget(1024), 1000, report);
  std::map<std::string, std::string> targets;
  for (const BenchRatio& ratio : report.ratios) {
    if (ratio.target) targets[ratio.key] = ratio.target->text();
  }
  const std::map<std::string, std::string> want = {
      {"decode_full_vs_libllama_128", ">= 1.3"},
      {"decode_full_vs_libllama_8000", ">= 2"},
      {"prefill_full_vs_libllama_8000", ">= 1.6"},
      {"decode_cake1024_vs_libllama_8000", ">= 3.5"},
      {"decode_cake1024_share_of_bound_8000", ">= 0.85"},
      {"prefill_cake_vs_full_8000", ">= 0.97"},
      {"peak_kv_bytes_vs_formula", "1 ± 0.02"},
      {"score_cost_share_of_prefill", "<= 0.01"},
      {"replace_cost_share_of_decode", "<= 0.05"},
      {"replace_cost_share_of_decode_tova", "<= 0.05"},
      {"attention_entries_per_s_vs_f16_bound", ">= 0.5"}};
  EXPECT_EQ(targets, want);
}

TEST(KvBenchReport, RowsCarrySpeedBytesBoundAndQuality) {
  BenchReport report;
  fill_kv_report(example(), KvRatioSubjects::of_budget(1024), 1'000'000, report);
  ASSERT_EQ(report.rows.size(), 10U);
  const BenchRow& cake = report.rows[4];
  EXPECT_EQ(cake.subject, "cake:budget=1024");
  EXPECT_EQ(cake.setting, 8000);
  EXPECT_EQ(cake.value("read_bytes_a_token")->median, 21'000'000);
  EXPECT_NEAR(cake.value("bound_tok_s")->high, 1 / 0.011, 12);
  EXPECT_EQ(cake.value("decode_tok_s")->n_runs, 2);
  EXPECT_EQ(cake.value("kl_nats")->median, 0.01);
  EXPECT_EQ(cake.value("top1_agreement")->median, 0.9);
  EXPECT_EQ(report.rows[5].value("kl_nats"), nullptr);      // it gave no logits
  EXPECT_EQ(report.rows[5].value("bound_tok_s"), nullptr);  // ours, not libllama's
  for (const BenchRow& row : report.rows) {
    for (const auto& value : row.values) {
      EXPECT_TRUE(std::ranges::any_of(report.columns, [&](const BenchColumn& c) {
        return c.key == value.first;
      })) << value.first;
    }
  }
}

TEST(KvBenchReport, WithoutABindingBudgetNothingIsSaidAboutCake) {
  std::vector<KvContextMeasured> contexts = example();
  contexts[1].contestants[1].peak_formula_bytes = 0;
  BenchReport report;
  fill_kv_report(contexts, KvRatioSubjects::of_budget(1024), 1000, report);
  for (const BenchRatio& ratio : report.ratios) {
    EXPECT_EQ(ratio.key.find("cake"), std::string::npos) << ratio.key;
  }
}

}  // namespace
}  // namespace reprise
