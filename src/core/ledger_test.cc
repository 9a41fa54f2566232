#include "core/ledger.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace reprise {
namespace {

using nlohmann::json;

Ledger example() {
  Ledger ledger;
  ledger.units.push_back({.name = "kv entry",
                          .computed = 30720,
                          .dropped = 209280,
                          .is_kept = true,
                          .spent = {LedgerAmount::Unit::kBytes, 23592960, false, ""},
                          .saved = {LedgerAmount::Unit::kSeconds, 2.1, true, "decode"}});
  ledger.facts = {{"n_prompt_tokens", int64_t{8000}, "prompt 8,000 tokens"},
                  {"prefill_s", 54.9, ""},
                  {"policy", std::string("cake:budget=1024"), "policy cake:budget=1024"}};
  ledger.spans = {{"weights", "load", 0.001, 0.25}, {"layer 0", "prefill", 0.3, 1.5}};
  return ledger;
}

TEST(Ledger, TableIsAlignedAndNamesEveryVerdict) {
  EXPECT_EQ(ledger_table(example()),
            "unit          computed   reused   approximated   dropped      spent                  "
            "saved\n"
            "kv entry   30,720 kept        -              -   209,280   22.5 MiB   est. 2.1 s of "
            "decode\n"
            "prompt 8,000 tokens · policy cake:budget=1024\n");
}

TEST(Ledger, LineHoldsTheFactsThatHaveWords) {
  EXPECT_EQ(ledger_line(example()), "prompt 8,000 tokens · policy cake:budget=1024");
  EXPECT_EQ(ledger_line({}), "");
}

TEST(Ledger, AnEmptyRunStillHasAHeader) {
  EXPECT_EQ(ledger_table({}),
            "unit   computed   reused   approximated   dropped   spent   saved\n");
}

TEST(Ledger, JsonHoldsEveryUnitAndFact) {
  const json out = json::parse(ledger_json(example()));
  EXPECT_EQ(out.at("units").at(0).at("dropped"), 209280);
  EXPECT_EQ(out.at("units").at(0).at("spent").at("unit"), "bytes");
  EXPECT_EQ(out.at("units").at(0).at("saved").at("is_estimate"), true);
  EXPECT_EQ(out.at("facts").at("prefill_s"), 54.9);
  EXPECT_EQ(out.at("facts").at("policy"), "cake:budget=1024");
}

TEST(Ledger, JsonHoldsListsOfFacts) {
  Ledger ledger = example();
  ledger.lists = {{"spans", {{{"first", int64_t{3}, ""}, {"reason", "fixed", ""}}, {}}},
                  {"none", {}}};
  const json out = json::parse(ledger_json(ledger));
  EXPECT_EQ(out.at("spans"), json::parse(R"([{"first": 3, "reason": "fixed"}, {}])"));
  EXPECT_EQ(out.at("none"), json::array());
  EXPECT_EQ(ledger_table(ledger), ledger_table(example()));
}

TEST(Ledger, TraceIsInMicroseconds) {
  const json out = json::parse(ledger_trace(example()));
  ASSERT_EQ(out.at("traceEvents").size(), 2U);
  EXPECT_EQ(out.at("traceEvents").at(1).at("name"), "layer 0");
  EXPECT_EQ(out.at("traceEvents").at(1).at("ph"), "X");
  EXPECT_DOUBLE_EQ(out.at("traceEvents").at(1).at("ts"), 0.3e6);
  EXPECT_DOUBLE_EQ(out.at("traceEvents").at(1).at("dur"), 1.5e6);
}

TEST(Ledger, TraceTellsThreadsApart) {
  Ledger ledger = example();
  ledger.spans.push_back({"feed forward", "thread", 2.0, 0.25, 2, 0.125});
  const json events = json::parse(ledger_trace(ledger)).at("traceEvents");
  EXPECT_EQ(events.at(0).at("tid"), 1);
  EXPECT_FALSE(events.at(0).contains("args"));
  EXPECT_EQ(events.at(2).at("tid"), 3);
  EXPECT_DOUBLE_EQ(events.at(2).at("args").at("wait_us"), 0.125e6);
}

TEST(Ledger, BytesThatAreNoTextBecomeReplacementCharacters) {
  Ledger ledger = example();
  ledger.facts.push_back({"answer", std::string("a\xff"), ""});
  EXPECT_EQ(json::parse(ledger_json(ledger)).at("facts").at("answer"), "a\xef\xbf\xbd");
}

}  // namespace
}  // namespace reprise
