#include "engines/generate/recall_question.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tuple>

#include "core/error.h"

namespace reprise {
namespace {

using ::testing::HasSubstr;
using Kind = RecallQuestion::Kind;

constexpr RecallVerdict kOpen = RecallVerdict::kOpen;
constexpr RecallVerdict kRight = RecallVerdict::kRight;
constexpr RecallVerdict kWrong = RecallVerdict::kWrong;

RecallQuestion asked(Kind kind, std::string answer) {
  RecallQuestion question;
  question.kind = kind;
  question.answer = std::move(answer);
  return question;
}

constexpr const char* kGood =
    R"({"document": "a=1;b=2;", "question": "?a=", "answer": "1;", "depth": 0, "kind": "pairs"})";

TEST(RecallQuestions, ReadsTheSamples) {
  const std::string folder = REPRISE_SOURCE_DIR "/tests/golden/recall/";
  const auto pairs = read_recall_questions(folder + "pairs.jsonl");
  ASSERT_EQ(pairs.size(), 5U);
  EXPECT_EQ(pairs[0].question, "?zo=");
  EXPECT_EQ(pairs[0].answer, "62;");
  EXPECT_EQ(pairs[0].depth, 0.81);
  for (const RecallQuestion& question : pairs) EXPECT_EQ(question.kind, Kind::kPairs);
  const auto facts = read_recall_questions(folder + "facts.jsonl");
  ASSERT_EQ(facts.size(), 5U);
  for (const RecallQuestion& question : facts) {
    EXPECT_EQ(question.kind, Kind::kFacts);
    EXPECT_THAT(question.document, HasSubstr(question.answer));
  }
}

TEST(RecallQuestions, PassesOverOtherKeysAndEmptyLines) {
  std::string text = kGood;
  text.insert(1, R"("origin": ["ours"], )");
  EXPECT_EQ(parse_recall_questions("\n" + text + "\r\n \n" + kGood, "x").size(), 2U);
}

TEST(RecallQuestions, RefusesBadLinesWithTheirNumber) {
  const auto with = [](const std::string& from, const std::string& to) {
    std::string text = kGood;
    return text.replace(text.find(from), from.size(), to);
  };
  const std::tuple<std::string, const char*> cases[] = {
      {"", "x:2: no JSON"},
      {"[1]", "x:2: no JSON object"},
      {std::string(100000, '['), "x:2: no JSON"},
      {std::string(kGood) + kGood, "x:2: no JSON"},
      {with("\"depth\": 0, ", ""), "x:2: 'depth' is missing"},
      {with("\"depth\": 0", "\"depth\": 1.01"), "x:2: 'depth' is 1.01"},
      {with("\"depth\": 0", "\"depth\": -0.1"), "x:2: 'depth' is -0.1"},
      {with("\"depth\": 0", "\"depth\": \"0\""), "x:2: 'depth' is no number"},
      {with("\"document\": \"a=1;b=2;\"", "\"document\": \" \\n\""), "x:2: 'document' is empty"},
      {with("\"?a=\"", "\"\""), "x:2: 'question' is empty"},
      {with("\"1;\"", "7"), "x:2: 'answer' is no text"},
      {with("pairs", "fact"), "x:2: no kind 'fact', did you mean 'facts'?"}};
  for (const auto& [line, want] : cases) {
    const std::string text = std::string(kGood) + "\n" + (line.empty() ? "{" : line) + "\n";
    try {
      parse_recall_questions(text, "x");
      FAIL() << want;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(want));
    }
  }
  EXPECT_THROW(parse_recall_questions("", "x"), Error);
  EXPECT_THROW(parse_recall_questions("\n\n", "x"), Error);
  EXPECT_THROW(parse_recall_questions("{\"document\": \"\xff\"}", "x"), Error);
  EXPECT_THROW(read_recall_questions("/no/such/file.jsonl"), Error);
  EXPECT_THROW(read_recall_questions("/"), Error);
}

TEST(JudgeRecall, PairsBeginWithTheAnswer) {
  const RecallQuestion question = asked(Kind::kPairs, "62;");
  const std::tuple<const char*, bool, RecallVerdict> cases[] = {
      {"", false, kOpen},     {"6", false, kOpen},     {"62", false, kOpen},
      {"62;", false, kRight}, {"62;x", false, kRight}, {" 62;", false, kWrong},
      {"7", false, kWrong},   {"62", true, kWrong},    {"", true, kWrong}};
  for (const auto& [text, is_whole, want] : cases) {
    EXPECT_EQ(judge_recall(question, text, is_whole), want) << text;
  }
  EXPECT_EQ(question.max_tokens(), 3);
}

TEST(JudgeRecall, FactsHoldTheAnswerInTheirFirstLine) {
  const RecallQuestion question = asked(Kind::kFacts, "Velvet");
  const std::tuple<const char*, bool, RecallVerdict> cases[] = {
      {"", false, kOpen},
      {"It is velvet", false, kOpen},
      {"It is velvet.", false, kRight},
      {"It is VELVET", true, kRight},
      {"\n\n The velvet one", false, kRight},
      {"It is silk", false, kOpen},
      {"It is silk", true, kWrong},
      {"It is silk\nor velvet", false, kWrong},
      {" \n", true, kWrong},
      {"velvet\n", false, kRight}};
  for (const auto& [text, is_whole, want] : cases) {
    EXPECT_EQ(judge_recall(question, text, is_whole), want) << text;
  }
  EXPECT_EQ(question.max_tokens(), 32);
}

TEST(JudgeRecall, NumbersAreNoPartOfLongerOnes) {
  const RecallQuestion question = asked(Kind::kFacts, "134");
  const std::tuple<const char*, RecallVerdict> cases[] = {
      {"134", kRight},  {"No. 134!", kRight},  {"1342", kWrong},
      {"2134", kWrong}, {"2134, 134", kRight}, {"A134B", kRight}};
  for (const auto& [text, want] : cases) {
    EXPECT_EQ(judge_recall(question, text, true), want) << text;
  }
}

}  // namespace
}  // namespace reprise
