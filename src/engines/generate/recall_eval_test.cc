#include "engines/generate/recall_eval.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include "core/error.h"
#include "engines/generate/answer.h"
#include "engines/generate/equal_bytes.h"
#include "engines/generate/libllama_peer.h"
#include "engines/generate/prompt.h"
#include "policies/registry.h"
#include "support/tiny_chat_model.h"

namespace reprise {
namespace {

constexpr RecallProtocol kLast = RecallProtocol::kLast;
constexpr RecallProtocol kAfter = RecallProtocol::kAfter;
constexpr RecallProtocol kTurn2 = RecallProtocol::kTurn2;
constexpr RecallProtocol kAll[] = {kLast, kAfter, kTurn2};
constexpr const char* kTight = "streaming:budget=40,window=8,sink=2";

std::vector<NamedPolicy> named(const std::vector<std::string>& texts) {
  return named_policies(texts);
}

const TokensRead kIgnore = [](int64_t) {};

class RecallTest : public ::testing::Test {
 protected:
  std::string path_ = (std::filesystem::temp_directory_path() /
                       ("reprise_recall_" + std::to_string(getpid()) + ".gguf"))
                          .string();
  Backend backend_{2};
  std::shared_ptr<const TextModel> model_;
  std::optional<ChatTemplate> template_;

  void load(const test::TinyModel& tiny) {
    test::write_tiny_model(test::tiny_chat_model(tiny), path_);
    model_ = TextModel::load(path_);
    template_ = chat_template_of(*model_, "");
  }
  void SetUp() override { load({.n_layer = 4, .n_embd_head = 32}); }
  void TearDown() override { std::filesystem::remove(path_); }

  // The first n sample questions of a kind.
  std::vector<RecallCase> samples(const std::string& kind, size_t n) const {
    auto questions =
        read_recall_questions(REPRISE_SOURCE_DIR "/tests/golden/recall/" + kind + ".jsonl");
    std::vector<RecallCase> cases;
    for (size_t i = 0; i < n; ++i) {
      questions[i].document.resize(300);  // one token a byte
      cases.push_back(make_recall_case(*model_, template_, kAll, questions[i]));
    }
    return cases;
  }

  // Gives the case the answer that the model itself finds with a policy.
  void answer_by(const std::string& policy, RecallCase& asked) {
    Sequence sequence(model_->decoder, backend_, make_kv_policy(policy));
    const auto logits = read_recall_prompt(sequence, asked, kLast, 8, kIgnore);
    AnswerOptions options;
    options.max_tokens = 3;
    const AnswerReport report = generate_answer(sequence, *model_, logits, options, {});
    ASSERT_EQ(report.text.size(), 3U);
    asked.question.answer = report.text;
    asked.answer = report.tokens;
  }

  // What a layer holds in one KV head.
  static std::set<int32_t> held(Sequence& sequence, int32_t il, int32_t g) {
    std::set<int32_t> positions;
    const KvStore& kv = sequence.kv();
    for (int32_t slot = 0; slot < kv.count(il); ++slot) {
      positions.insert(kv.position(il, g, slot));
    }
    EXPECT_EQ(static_cast<int32_t>(positions.size()), kv.count(il));
    return positions;
  }
};

std::set<int32_t> range(int32_t first, int32_t last) {
  std::set<int32_t> out;
  for (int32_t i = first; i < last; ++i) out.insert(i);
  return out;
}
std::set<int32_t> operator+(std::set<int32_t> a, const std::set<int32_t>& b) {
  a.insert(b.begin(), b.end());
  return a;
}

TEST_F(RecallTest, PairsAreReadAsTheyAre) {
  const RecallQuestion question{.document = "lane;ka=12;zo=34;\n home;",
                                .question = "?ka=",
                                .answer = "12;",
                                .kind = RecallQuestion::Kind::kPairs};
  const RecallCase asked = make_recall_case(*model_, std::nullopt, kAll, question);
  const Tokenizer& tokenizer = model_->tokenizer;
  EXPECT_EQ(tokenizer.detokenize(asked.one_turn), "lane;ka=12;zo=34;\n home;?ka=");
  EXPECT_EQ(tokenizer.detokenize(std::span(asked.one_turn).first(asked.n_document)),
            question.document);
  EXPECT_EQ(tokenizer.detokenize(asked.two_turns), "lane;ka=12;zo=34;\n home;?zo=34;?ka=");
  const std::span<const int32_t> behind = std::span(asked.two_turns).subspan(asked.n_first_turn);
  EXPECT_EQ(tokenizer.detokenize(behind), "34;?ka=");
  EXPECT_EQ(tokenizer.detokenize(behind.first(asked.n_reply)), "34;");
  EXPECT_EQ(tokenizer.detokenize(asked.answer), "12;");
  EXPECT_EQ(asked.n_longest(), static_cast<int32_t>(asked.two_turns.size()) + 3);
}

TEST_F(RecallTest, PairsNeedAnotherRecordForTheFirstTurn) {
  for (const char* document : {"ka=12;", "no record", "ka=12; =3;", "ka=12;zo=3"}) {
    const RecallQuestion question{.document = document,
                                  .question = "?ka=",
                                  .answer = "12;",
                                  .kind = RecallQuestion::Kind::kPairs};
    EXPECT_THROW(make_recall_case(*model_, template_, kAll, question), Error) << document;
    const auto one_turn = std::span(kAll).first(2);
    EXPECT_TRUE(make_recall_case(*model_, template_, one_turn, question).two_turns.empty());
  }
}

TEST_F(RecallTest, FactsAreAskedWithTheChatTemplate) {
  const RecallQuestion question{.document = "The cat is Ada.",
                                .question = "Who is the cat?",
                                .answer = "Ada",
                                .kind = RecallQuestion::Kind::kFacts};
  EXPECT_THROW(make_recall_case(*model_, std::nullopt, kAll, question), Error);
  const RecallCase asked = make_recall_case(*model_, template_, kAll, question);
  const auto text = [&](std::span<const int32_t> tokens) {
    std::string out;  // with the control tokens
    for (const int32_t token : tokens) {
      const std::string piece = model_->tokenizer.piece(token);
      out += piece.empty() ? "|" : piece;
    }
    return out;
  };
  EXPECT_EQ(text(asked.one_turn), "|user\nThe cat is Ada.\n\nWho is the cat?|\n|assistant\n");
  EXPECT_EQ(text(std::span(asked.one_turn).first(asked.n_document)), "|user\nThe cat is Ada.");
  const std::string first = text(std::span(asked.two_turns).first(asked.n_first_turn));
  EXPECT_TRUE(first.starts_with("|user\nThe cat is Ada.\n\nIn which language")) << first;
  EXPECT_TRUE(first.ends_with("|\n|assistant\n")) << first;
  const auto behind = std::span(asked.two_turns).subspan(asked.n_first_turn);
  EXPECT_EQ(text(behind.first(asked.n_reply)), "English");
  EXPECT_EQ(text(behind.subspan(asked.n_reply)), "|\n|user\nWho is the cat?|\n|assistant\n");
}

// Who is held after each protocol: sinks and the latest, of what the policy has judged.
TEST_F(RecallTest, ProtocolsDecideWhatIsJudged) {
  for (const char* kind : {"pairs", "facts"}) {
    const RecallCase asked = samples(kind, 1).front();
    const auto n_one = static_cast<int32_t>(asked.one_turn.size());
    const auto n_two = static_cast<int32_t>(asked.two_turns.size());
    const int32_t n_second = n_two - asked.n_first_turn - asked.n_reply;
    const int32_t n_first_kept = asked.n_first_turn - 38;
    // Pairs: a second turn of 4 tokens, all kept. Facts: its question is long and judged as well.
    const std::set<int32_t> second =
        n_second <= 40 ? range(n_two - n_second, n_two)
                       : range(n_two - n_second, n_two - n_second + 2) + range(n_two - 38, n_two);
    struct Case {
      RecallProtocol protocol;
      std::string policy;
      std::set<int32_t> want;
    };
    const std::string tight = kTight;
    const Case cases[] = {
        {kLast, tight, range(0, 2) + range(n_one - 38, n_one)},
        {kAfter, tight, range(0, 2) + range(asked.n_document - 38, n_one)},
        {kTurn2, tight, range(0, 2) + range(n_two - 38, n_two)},  // all of both turns is judged
        {kTurn2, tight + ",turns=each",
         range(0, 2) + range(n_first_kept, asked.n_first_turn + asked.n_reply) + second}};
    for (const auto& [protocol, policy, want] : cases) {
      Sequence sequence(model_->decoder, backend_, make_kv_policy(policy));
      read_recall_prompt(sequence, asked, protocol, 8, kIgnore);
      EXPECT_EQ(sequence.n_past(), protocol == kTurn2 ? n_two : n_one);
      for (int32_t il = 0; il < 4; ++il) {
        for (int32_t g = 0; g < 2; ++g) {
          EXPECT_EQ(held(sequence, il, g), want) << kind << " " << recall_protocol_name(protocol);
        }
      }
    }
  }
}

// The first token of an answer follows from what is held, not from the whole prompt.
TEST_F(RecallTest, LastTokenIsReadOverWhatIsHeld) {
  const RecallCase asked = samples("pairs", 1).front();
  const auto n_tokens = static_cast<int32_t>(asked.one_turn.size());
  LibllamaPeer peer(path_, {});
  const auto last = std::span(asked.one_turn).last(1);
  peer.extend_all(std::span(asked.one_turn).first(n_tokens - 1));
  peer.forget(2, n_tokens - 38);
  const std::span<const float> want = peer.extend(last);
  Sequence sequence(model_->decoder, backend_, make_kv_policy(kTight));
  const std::span<const float> exact = sequence.prefill(asked.one_turn, {});
  const std::vector<float> before(exact.begin(), exact.end());
  const std::span<const float> got = sequence.read_again(last.front());
  float difference = 0;
  float unlike_prefill = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    difference = std::max(difference, std::abs(got[i] - want[i]));
    unlike_prefill = std::max(unlike_prefill, std::abs(before[i] - want[i]));
  }
  EXPECT_LT(difference, 2e-2F);  // as SequenceAgainstPeer
  EXPECT_GT(unlike_prefill, 0.1F);
  EXPECT_THROW(sequence.read_again(-1), Error);
  EXPECT_EQ(sequence.n_past(), n_tokens);
  sequence.clear();
  EXPECT_THROW(sequence.read_again(1), Error);
}

TEST_F(RecallTest, FullAgainstFullIsExact) {
  for (const char* arch : {"llama", "gemma3"}) {
    load({.arch = arch, .n_embd_head = 32});
    RecallEval eval(model_, backend_, named({"full", "snapkv:budget=2000", "full:type=f16"}), kAll);
    for (const char* kind : {"pairs", "facts"}) {
      for (const RecallCase& asked : samples(kind, 1)) eval.ask(asked, kIgnore);
    }
    ASSERT_EQ(eval.rows().size(), 9U);
    for (const RecallRow& row : eval.rows()) {
      EXPECT_EQ(row.agreement.kl.value(), 0) << row.policy;
      EXPECT_EQ(row.agreement.same_best(), 1) << row.policy;
      EXPECT_GT(row.agreement.kl.n(), 8);
      EXPECT_EQ(row.all.n, 2);
      EXPECT_EQ(row.n_dropping, 0);
      EXPECT_EQ(row.p_vs_first(), 1);
      EXPECT_EQ(row.held_bytes.value(),
                eval.rows()[row.protocol == kTurn2 ? 6 : 0].held_bytes.value());
    }
  }
}

TEST_F(RecallTest, CountsRightAnswersByPolicyAndDepth) {
  std::vector<RecallCase> cases = samples("pairs", 4);
  const double depths[] = {0, 0.3, 0.3, 1};
  for (size_t i = 0; i < cases.size(); ++i) {
    answer_by("full", cases[i]);
    cases[i].question.depth = depths[i];
  }
  const std::vector<std::string> policies = {"full", kTight, "tova:budget=40,window=8,decode=tova",
                                             "random:budget=9,window=8"};
  RecallEval eval(model_, backend_, named(policies), kAll);
  for (const RecallCase& asked : cases) {
    int64_t n_told = 0;
    eval.ask(asked, [&](int64_t n_new) { n_told += n_new; });
    EXPECT_EQ(n_told, eval.n_read(asked));
    // The full cache once for `last` and `after`, and once for `turn2`.
    EXPECT_EQ(n_told, static_cast<int64_t>(7 * asked.one_turn.size() + 4 * asked.two_turns.size() +
                                           11 * asked.answer.size()));
  }
  const std::vector<RecallRow>& rows = eval.rows();
  ASSERT_EQ(rows.size(), 12U);
  int64_t n_wrong = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const RecallRow& row = rows[i];
    EXPECT_EQ(row.protocol, kAll[i / 4]);
    EXPECT_EQ(row.policy, policies[i % 4]);
    EXPECT_EQ(row.all.n, 4);
    EXPECT_EQ(row.by_depth[0].n, 1);
    EXPECT_EQ(row.by_depth[1].n, 2);
    EXPECT_EQ(row.by_depth[2].n, 0);
    EXPECT_EQ(row.by_depth[3].n, 1);
    int64_t n_right = 0;
    for (const RecallCount& count : row.by_depth) n_right += count.n_right;
    EXPECT_EQ(n_right, row.all.n_right);
    const RecallRow& first = rows[i / 4 * 4];
    EXPECT_EQ(first.all.n_right - row.n_lost + row.n_gained, row.all.n_right);
    EXPECT_GT(row.seconds, 0);
    if (i % 4 == 0) continue;
    EXPECT_EQ(row.n_dropping, 4);
    EXPECT_GT(row.agreement.kl.value(), 0) << row.policy;
    EXPECT_LT(row.held_bytes.value(), first.held_bytes.value());
    n_wrong += row.n_lost;
  }
  EXPECT_EQ(rows[0].all.n_right, 4);  // the answers are its own
  EXPECT_EQ(rows[4].all.n_right, 4);
  EXPECT_GT(n_wrong, 0);
}

TEST_F(RecallTest, WhatFailsLeavesTheRowsAsBefore) {
  EXPECT_THROW(RecallEval(model_, backend_, {}, kAll), Error);
  EXPECT_THROW(RecallEval(model_, backend_, named({"full"}), {}), Error);
  RecallEval eval(model_, backend_, named({"full", kTight}), kAll);
  const std::vector<RecallCase> cases = samples("facts", 2);
  eval.ask(cases[0], kIgnore);
  int64_t n_told = 0;
  EXPECT_THROW(eval.ask(cases[1],
                        [&](int64_t n_new) {
                          n_told += n_new;
                          if (2 * n_told > eval.n_read(cases[1])) throw Error("stop");
                        }),
               Error);
  for (const RecallRow& row : eval.rows()) {
    EXPECT_EQ(row.all.n, 1);
    EXPECT_EQ(row.held_bytes.n(), 1);
  }
}

TEST_F(RecallTest, EqualBytesScaleEveryEvictingPolicy) {
  const std::vector<RecallCase> cases = samples("pairs", 2);
  const std::vector<NamedPolicy> got =
      at_equal_bytes(*model_, backend_,
                     named({"full", "cake:budget=60,window=8", "full:type=q8_0",
                            "cake:window=8,budget=60,type=q8_0", "snapkv:budget=20%,window=8",
                            "snapkv:budget=60,window=8,type=q4_0", "pyramid:budget=90,window=8"}),
                     cases, kIgnore);
  EXPECT_EQ(got[0].text, "full");
  EXPECT_EQ(got[1].text, "cake:budget=60,window=8");
  EXPECT_EQ(got[2].text, "full:type=q8_0");
  // One entry: F16 2 * 32 * 2 + 4 bytes a head, Q8_0 2 * 34 + 4, Q4_0 2 * 18 + 4.
  EXPECT_EQ(got[3].text, "cake:budget=110,window=8,type=q8_0");    // 60 * 132 / 72
  EXPECT_EQ(got[5].text, "snapkv:budget=198,window=8,type=q4_0");  // 60 * 132 / 40
  EXPECT_EQ(got[6].text, "pyramid:budget=60,window=8");
  RecallEval eval(model_, backend_, got, std::span(kAll).first(1));
  for (const RecallCase& asked : cases) eval.ask(asked, kIgnore);
  const double want = eval.rows()[1].held_bytes.value();
  for (const size_t i : {3, 4, 5, 6}) {
    EXPECT_NEAR(eval.rows()[i].held_bytes.value(), want, 0.01 * want) << got[i].text;
  }
}

TEST(WithBudget, ReplacesOrAdds) {
  const Budget nine{Budget::Kind::kEntries, 9};
  EXPECT_EQ(with_budget("cake", nine), "cake:budget=9");
  EXPECT_EQ(with_budget("kv/cake:gamma=0", nine), "kv/cake:budget=9,gamma=0");
  EXPECT_EQ(with_budget("cake:budget=8", nine), "cake:budget=9");
  EXPECT_EQ(with_budget("cake:window=4,budget=8,gamma=0", nine), "cake:budget=9,window=4,gamma=0");
  EXPECT_EQ(with_budget("cake:budget=8", {Budget::Kind::kShare, 0.125}), "cake:budget=12.5%");
}

}  // namespace
}  // namespace reprise
