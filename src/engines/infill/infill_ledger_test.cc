#include "engines/infill/infill_ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace reprise {
namespace {

using nlohmann::json;

// Five positions of an answer, of which the second span's end token leaves one unfilled.
InfillResult example() {
  InfillResult result;
  result.canvas = Canvas::answer(std::vector<int32_t>{7, 8, 9}, 5, 2, 0, 1);
  for (const auto& [p, id] : {std::pair{3, 20}, {4, 21}, {5, 22}, {6, 1}}) {
    result.canvas.ids[p] = id;
  }
  result.answer = {20, 21, 22};
  InfillReport& report = result.report;
  report.steps.resize(3);
  report.steps[0].commits = {{3, 20}, {4, 21}};
  report.steps[1].commits = {{5, 22}};
  report.steps[2].commits = {{6, 1}};
  report.spans = {{3, {3, SpanReason::kDelimiter, 2, 0.75F}, 2},
                  {6, {1, SpanReason::kLowConfidence, -1, 0.25F}, 1}};
  report.n_rows = 25;
  report.n_rows_reused = 5;
  report.n_full = 2;
  report.plan_s = 0.01;
  report.commit_s = 0.02;
  return result;
}

TEST(InfillLedger, EveryRowAndPositionHasOneVerdict) {
  const Ledger ledger = infill_ledger(example(), {0.5, 1.0, 0.01, 4096}, "p");
  ASSERT_EQ(ledger.units.size(), 2);
  const LedgerUnit& row = ledger.units[0];
  EXPECT_EQ(row.computed + row.reused, 3 * 10);  // passes times canvas
  EXPECT_EQ(row.spent.value, 0.5);
  EXPECT_FALSE(row.spent.is_estimate);
  EXPECT_TRUE(row.saved.is_estimate);
  EXPECT_DOUBLE_EQ(row.saved.value, 0.01 * 5);
  EXPECT_EQ(ledger.units[1].computed, 4);
  EXPECT_EQ(ledger.units[1].dropped, 1);
}

TEST(InfillLedger, NothingReusedSavesNothing) {
  InfillResult result = example();
  result.report.n_rows = 30;
  result.report.n_rows_reused = 0;
  EXPECT_EQ(infill_ledger(result, {0.5, 1.0, 0.01, 0}, "p").units[0].saved.unit,
            LedgerAmount::Unit::kNone);
}

TEST(InfillLedger, JsonTellsPassesAndSpans) {
  const json out = json::parse(ledger_json(infill_ledger(example(), {0.5, 1.0, 0.01, 4096}, "p")));
  const json& facts = out["facts"];
  EXPECT_EQ(facts["n_passes"], 3);
  EXPECT_EQ(facts["n_full_passes"], 2);
  EXPECT_DOUBLE_EQ(facts["tokens_per_pass"], 4.0 / 3);
  EXPECT_EQ(facts["mean_span"], 2);
  EXPECT_DOUBLE_EQ(facts["plan_share"], 0.01);
  EXPECT_DOUBLE_EQ(facts["commit_share"], 0.02);
  EXPECT_EQ(out["spans"], json::parse(R"([
    {"first": 3, "n": 3, "reason": "delimiter", "delimiter_position": 5, "confidence": 0.75,
     "n_steps": 2},
    {"first": 6, "n": 1, "reason": "low_confidence", "delimiter_position": -1, "confidence": 0.25,
     "n_steps": 1}])"));
}

TEST(InfillLedger, TheLineNamesWhatMatters) {
  const std::string line = ledger_line(infill_ledger(example(), {0.5, 1.0, 0.01, 4096}, "span p"));
  for (const char* words :
       {"canvas 10 rows", "4 positions filled in 1.0 s", "3 passes, 2 over all rows",
        "1.3 tokens a pass", "2 spans of 2.0", "planning 1.00 % and committing 2.00 %",
        "peak cache 4.0 KiB", "policy span p"}) {
    EXPECT_THAT(line, testing::HasSubstr(words));
  }
}

TEST(InfillLedger, OnePassAndOneSpanAreNoSeveral) {
  InfillResult result = example();
  result.report.steps.resize(1);
  result.report.spans.resize(1);
  const std::string line = ledger_line(infill_ledger(result, {}, "p"));
  EXPECT_THAT(line, testing::HasSubstr("1 pass, "));
  EXPECT_THAT(line, testing::HasSubstr("1 span of 3.0"));
}

TEST(InfillLedger, ACancelledRunBeforeItsFirstPassHasNoShares) {
  InfillResult result;
  result.canvas = Canvas::answer(std::vector<int32_t>{7}, 5, 0, 0, 1);
  const json out = json::parse(ledger_json(infill_ledger(result, {}, "p")));
  EXPECT_EQ(out["facts"]["tokens_per_pass"], 0);
  EXPECT_EQ(out["facts"]["plan_share"], 0);
  EXPECT_EQ(out["spans"], json::array());
}

TEST(InfillAgreement, ComparesAnswersUpToTheLongerOnesEnd) {
  const InfillResult a = example();
  InfillResult b = a;
  EXPECT_EQ(agreement(a, b).n_same, 3);
  EXPECT_EQ(agreement(a, b).first_different, -1);
  b.answer = {20, 30, 22, 23};
  const InfillAgreement differs = agreement(a, b);
  EXPECT_EQ(differs.n, 4);
  EXPECT_EQ(differs.n_same, 2);
  EXPECT_EQ(differs.first_different, 4);
  EXPECT_EQ(agreement(b, a).n, 4);
}

TEST(InfillAgreement, ComparesEveryGap) {
  InfillResult a;
  a.canvas = Canvas::with_gaps({5, 0, 0, 6, 0}, 0);
  InfillResult b = a;
  a.canvas.ids = {5, 10, 11, 6, 12};
  b.canvas.ids = {5, 10, 11, 6, 13};
  const InfillAgreement got = agreement(a, b);
  EXPECT_EQ(got.n, 3);
  EXPECT_EQ(got.n_same, 2);
  EXPECT_EQ(got.first_different, 4);
}

}  // namespace
}  // namespace reprise
