#include "engines/generate/text_ledger.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <numeric>

#include "engines/generate/exact_check.h"
#include "policies/registry.h"
#include "support/tiny_model.h"

namespace reprise {
namespace {

class TextLedgerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    test::write_tiny_model(tiny_, path_);
    model_ = DecoderModel::load(std::make_shared<GgufFile>(GgufFile::open(path_)));
    prompt_.resize(200);
    for (size_t i = 0; i < prompt_.size(); ++i) prompt_[i] = static_cast<int32_t>(i * 37 % 320);
  }
  void TearDown() override { std::filesystem::remove(path_); }

  // Reads the prompt and generates greedily, so that the answer is the model's own.
  AnswerReport answer(Sequence& sequence, int32_t n_tokens) {
    AnswerReport report;
    std::span<const float> logits =
        sequence.prefill(prompt_, {.n_growth = n_tokens, .n_compress = -1, .progress = {}});
    for (int32_t i = 0; i < n_tokens; ++i) {
      report.tokens.push_back(
          static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
      logits = sequence.decode(report.tokens.back());
    }
    report.decode_s = 0.5;
    return report;
  }

  static int64_t fact(const Ledger& ledger, const std::string& key) {
    for (const LedgerFact& f : ledger.facts) {
      if (f.key == key) return std::get<int64_t>(f.value);
    }
    ADD_FAILURE() << "no fact " << key;
    return -1;
  }

  test::TinyModel tiny_;
  std::string path_ = (std::filesystem::temp_directory_path() /
                       ("reprise_ledger_" + std::to_string(getpid()) + ".gguf"))
                          .string();
  Backend backend_{2};
  std::shared_ptr<const DecoderModel> model_;
  std::vector<int32_t> prompt_;
};

TEST_F(TextLedgerTest, EveryEntryHasOneVerdict) {
  for (const char* policy :
       {"full", "cake:budget=50", "cake:budget=50,decode=tova", "streaming:budget=40,window=8"}) {
    Sequence sequence(model_, backend_, make_kv_policy(policy));
    const AnswerReport report = answer(sequence, 30);
    const LedgerUnit entry = text_ledger(sequence, report, policy, 1e-6).units.at(0);
    EXPECT_EQ(entry.computed + entry.dropped, (200 + 30) * tiny_.n_layer) << policy;
    EXPECT_EQ(entry.spent.value, static_cast<double>(sequence.kv().n_held_bytes())) << policy;
  }
}

TEST_F(TextLedgerTest, SavesTheReadsOfWhatIsGone) {
  Sequence grow(model_, backend_, make_kv_policy("cake:budget=50"));
  const AnswerReport grown = answer(grow, 30);
  const Ledger ledger = text_ledger(grow, grown, "cake:budget=50", 1e-6);
  EXPECT_EQ(ledger.units[0].dropped, 150 * tiny_.n_layer);
  EXPECT_TRUE(ledger.units[0].saved.is_estimate);
  EXPECT_DOUBLE_EQ(ledger.units[0].saved.value, 150.0 * tiny_.n_layer * 30 * 1e-6);
  EXPECT_EQ(fact(ledger, "n_entries_dropped_in_decode"), 0);
  EXPECT_GE(fact(ledger, "peak_kv_bytes"), grow.kv().n_held_bytes());

  Sequence held(model_, backend_, make_kv_policy("cake:budget=50,decode=tova"));
  const AnswerReport report = answer(held, 30);
  EXPECT_EQ(fact(text_ledger(held, report, "", 1e-6), "n_entries_dropped_in_decode"),
            30 * tiny_.n_layer);
}

TEST_F(TextLedgerTest, SavesNothingWhereNothingIsDropped) {
  Sequence sequence(model_, backend_, make_kv_policy("full"));
  const AnswerReport report = answer(sequence, 5);
  const Ledger ledger = text_ledger(sequence, report, "full", 1e-6);
  EXPECT_EQ(ledger.units[0].saved.unit, LedgerAmount::Unit::kNone);
  // Keys, values and one position a KV head: 205 entries of 7 layers.
  EXPECT_EQ(fact(ledger, "full_kv_bytes"),
            int64_t{205} * tiny_.n_layer * tiny_.n_head_kv * (2 * 2 * tiny_.n_embd_head + 4));
}

TEST_F(TextLedgerTest, ATurnJudgedAloneIsCountedAlone) {
  Sequence sequence(model_, backend_, make_kv_policy("cake:budget=50,turns=each"));
  answer(sequence, 10);
  const AnswerReport second = answer(sequence, 20);
  const Ledger ledger = text_ledger(sequence, second, "", 0);
  const LedgerUnit entry = ledger.units.at(0);
  EXPECT_EQ(entry.computed + entry.dropped, (200 + 20) * tiny_.n_layer);
  EXPECT_EQ(entry.dropped, 150 * tiny_.n_layer);
  EXPECT_EQ(fact(ledger, "n_entries_held"), (60 + 70) * tiny_.n_layer);
}

TEST_F(TextLedgerTest, EntriesThatAreJudgedAgainGetANewVerdict) {
  Sequence sequence(model_, backend_, make_kv_policy("cake:budget=50"));
  answer(sequence, 10);
  const AnswerReport second = answer(sequence, 20);
  const Ledger ledger = text_ledger(sequence, second, "", 0);
  const LedgerUnit entry = ledger.units.at(0);
  EXPECT_EQ(entry.computed + entry.dropped, (60 + 200 + 20) * tiny_.n_layer);
  EXPECT_EQ(entry.dropped, (60 + 150) * tiny_.n_layer);
  EXPECT_EQ(fact(ledger, "n_entries_held"), 70 * tiny_.n_layer);
  EXPECT_EQ(fact(ledger, "held_kv_bytes"), sequence.kv().n_held_bytes());
  EXPECT_EQ(fact(ledger, "held_kv_bytes_after_prefill") / 50, fact(ledger, "held_kv_bytes") / 70);
}

TEST_F(TextLedgerTest, ListsPreferenceAndShareOfEveryLayer) {
  Sequence sequence(model_, backend_, make_kv_policy("cake:budget=50"));
  const Ledger ledger = text_ledger(sequence, answer(sequence, 1), "", 0);
  ASSERT_EQ(ledger.lists.size(), 1U);
  EXPECT_EQ(ledger.lists[0].key, "kv_layers");
  ASSERT_EQ(ledger.lists[0].rows.size(), static_cast<size_t>(tiny_.n_layer));
  int64_t n_kept = 0;
  for (const std::vector<LedgerFact>& row : ledger.lists[0].rows) {
    EXPECT_GT(std::get<double>(row.at(1).value), 0);
    EXPECT_EQ(std::get<int64_t>(row.at(2).value), 200);
    n_kept += std::get<int64_t>(row.at(3).value);
  }
  EXPECT_EQ(n_kept, 50 * tiny_.n_layer);
  EXPECT_EQ(fact(ledger, "n_uniform_fallbacks"), 0);

  // The window of a turn that is a single token has no variance: nobody's share is known.
  prompt_.resize(1);
  const AnswerReport one = answer(sequence, 1);
  EXPECT_EQ(fact(text_ledger(sequence, one, "", 0), "n_uniform_fallbacks"), tiny_.n_layer);
}

TEST_F(TextLedgerTest, AnExactRunAgreesWithItselfAndCountsItsBytes) {
  Sequence sequence(model_, backend_, make_kv_policy("full"));
  const AnswerReport report = answer(sequence, 20);
  const ExactCheck check = check_against_exact(model_, backend_, prompt_, report.tokens, {});
  EXPECT_EQ(check.n_steps, 20);
  EXPECT_EQ(check.n_same_best, 20);
  EXPECT_EQ(check.peak_kv_bytes, sequence.kv().memory().peak());

  std::vector<int32_t> other = report.tokens;
  other[0] = (other[0] + 1) % tiny_.n_vocab;
  EXPECT_LT(check_against_exact(model_, backend_, prompt_, other, {}).n_same_best, 20);
}

}  // namespace
}  // namespace reprise
