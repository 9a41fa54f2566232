#include "core/bench_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/bench_html.h"

namespace reprise {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

BenchReport example() {
  BenchReport report;
  report.bench = "kv";
  report.title = "KV <cache>";
  report.machine.cpu = "A & B";
  report.machine.n_cores = 2;
  report.machine.last_cache_bytes = int64_t{480} << 20;
  report.machine.read_buffer_bytes = int64_t{960} << 20;
  report.facts = {{"model", "tiny"}};
  report.columns = {
      {"decode_tok_s", "decode tok/s", BenchFormat::kRate, BenchColumn::Plot::kLine},
      {"kv_bytes", "KV held", BenchFormat::kBytes, BenchColumn::Plot::kBars, true, "lower"},
      {"policy_share", "policy", BenchFormat::kShare}};
  report.rows = {
      {"full", 128, {{"decode_tok_s", {5, 90, 88, 92}}, {"kv_bytes", {1, 2048, 2048, 2048}}}},
      {"full", 2048, {{"decode_tok_s", {5, 50, 50, 50}}}},
      {"cake",
       2048,
       {{"decode_tok_s", {5, 61.25, 60, 62}}, {"policy_share", {1, 0.004, 0.004, 0.004}}}}};
  report.ratios = {
      {"decode_vs_peer_128", {5, 1.25, 1.2, 1.3}, BenchTarget{BenchTarget::Kind::kAtLeast, 0.95}},
      {"cost_share", {1, 0.02, 0.02, 0.02}, BenchTarget{BenchTarget::Kind::kAtMost, 0.01}},
      {"plain", {1, 2, 2, 2}}};
  report.highlights = {"cake", "full"};
  report.notes = {"Two cores."};
  return report;
}

TEST(BenchSample, IsMedianAndQuartiles) {
  const BenchSample odd = bench_sample({5, 1, 4, 2, 3});
  EXPECT_EQ(odd.n_runs, 5);
  EXPECT_DOUBLE_EQ(odd.median, 3);
  EXPECT_DOUBLE_EQ(odd.low, 2);
  EXPECT_DOUBLE_EQ(odd.high, 4);
  const BenchSample even = bench_sample({4, 1, 3, 2});
  EXPECT_DOUBLE_EQ(even.median, 2.5);
  EXPECT_DOUBLE_EQ(even.low, 1.75);
  EXPECT_DOUBLE_EQ(even.high, 3.25);
  const BenchSample one = bench_sample({7});
  EXPECT_DOUBLE_EQ(one.low, 7);
  EXPECT_DOUBLE_EQ(one.high, 7);
}

TEST(BenchTarget, IsMetByTable) {
  using Kind = BenchTarget::Kind;
  struct Case {
    BenchTarget target;
    double ratio;
    bool is_met;
    std::string text;
  };
  const Case cases[] = {{{Kind::kAtLeast, 0.95}, 0.95, true, ">= 0.95"},
                        {{Kind::kAtLeast, 0.95}, 0.949, false, ">= 0.95"},
                        {{Kind::kAtMost, 0.01}, 0.01, true, "<= 0.01"},
                        {{Kind::kAtMost, 0.01}, 0.011, false, "<= 0.01"},
                        {{Kind::kNear, 1, 0.02}, 0.985, true, "1 ± 0.02"},
                        {{Kind::kNear, 1, 0.02}, 1.03, false, "1 ± 0.02"}};
  for (const Case& c : cases) {
    EXPECT_EQ(c.target.is_met(c.ratio), c.is_met) << c.text << " " << c.ratio;
    EXPECT_EQ(c.target.text(), c.text);
  }
}

TEST(BenchReport, JsonIsWhatTheDesignAsksFor) {
  const auto json = nlohmann::json::parse(bench_json(example()));
  EXPECT_EQ(json["bench"], "kv");
  EXPECT_EQ(json["machine"]["cpu"], "A & B");
  EXPECT_EQ(json["machine"]["last_cache_bytes"], int64_t{480} << 20);
  EXPECT_EQ(json["machine"]["read_buffer_bytes"], int64_t{960} << 20);
  ASSERT_EQ(json["rows"].size(), 3U);
  EXPECT_EQ(json["rows"][2]["subject"], "cake");
  EXPECT_EQ(json["rows"][2]["context"], 2048);
  EXPECT_EQ(json["rows"][2]["decode_tok_s"]["n_runs"], 5);
  EXPECT_EQ(json["rows"][2]["decode_tok_s"]["median"], 61.25);
  EXPECT_EQ(json["rows"][2]["decode_tok_s"]["low"], 60);
  EXPECT_FALSE(json["rows"][1].contains("kv_bytes"));  // absent, not 0: it was not measured
  EXPECT_EQ(json["ratios"]["decode_vs_peer_128"], 1.25);
  EXPECT_TRUE(json["ratios"]["cost_share"].is_number());
  EXPECT_EQ(json["ratio_samples"]["cost_share"]["is_met"], false);
  EXPECT_EQ(json["ratio_samples"]["decode_vs_peer_128"]["target"], ">= 0.95");
  EXPECT_FALSE(json["ratio_samples"]["plain"].contains("target"));
}

TEST(BenchReport, JsonOfTextThatIsNoUtf8IsStillJson) {
  BenchReport report = example();
  report.facts = {{"model", "bad \xff name"}};
  EXPECT_NO_THROW(nlohmann::json::parse(bench_json(report)));
}

TEST(BenchReport, TableAlignsColumns) {
  EXPECT_EQ(bench_table(example()),
            "context 128   decode tok/s   KV held   policy\n"
            "full             90.0 ±2.0   2.0 KiB        -\n"
            "\n"
            "context 2,048   decode tok/s   KV held   policy\n"
            "full               50.0 ±0.0         -        -\n"
            "cake               61.2 ±1.0         -    0.4 %\n"
            "\n"
            "ratio                median        quartiles   runs    target         \n"
            "decode_vs_peer_128    1.250   1.200 to 1.300      5   >= 0.95      met\n"
            "cost_share            0.020                -      1   <= 0.01   missed\n"
            "plain                 2.000                -      1         -         \n"
            "note: Two cores.\n");
}

TEST(BenchReport, TinyNumbersKeepTwoDigits) {
  EXPECT_EQ(format_value(BenchFormat::kSmall, 0), "0");
  EXPECT_EQ(format_value(BenchFormat::kSmall, 0.0123), "0.0123");
  EXPECT_EQ(format_value(BenchFormat::kSmall, 1.94e-6), "1.9e-06");
  BenchReport report;
  report.ratios = {{"error", {1, 1.94e-6, 1.94e-6, 1.94e-6}}, {"share", {1, 0, 0, 0}}};
  EXPECT_THAT(bench_table(report), HasSubstr("1.9e-06"));
  EXPECT_THAT(bench_table(report), HasSubstr("0.000"));
}

TEST(BenchHtml, StandsAloneAndEscapes) {
  const std::string html = bench_html(example());
  EXPECT_THAT(html, HasSubstr("<svg"));
  EXPECT_THAT(html, HasSubstr("KV &lt;cache&gt;"));
  EXPECT_THAT(html, HasSubstr("A &amp; B"));
  EXPECT_THAT(html, HasSubstr("last cache 480.0 MiB · read buffer 960.0 MiB"));
  EXPECT_THAT(html, HasSubstr("prefers-color-scheme: dark"));
  EXPECT_THAT(html, HasSubstr("decode_vs_peer_128"));
  for (const char* outside : {"http:", "https:", "<script", "src=", "<link", "@import", "url("}) {
    EXPECT_THAT(html, Not(HasSubstr(outside))) << outside;
  }
}

TEST(BenchHtml, EmptyReportIsAPage) {
  BenchReport report;
  report.title = "nothing";
  EXPECT_THAT(bench_html(report), HasSubstr("</html>"));
  EXPECT_EQ(bench_table(report), "");
}

}  // namespace
}  // namespace reprise
