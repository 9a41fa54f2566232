#include "engines/infill/gapped_text.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"

namespace reprise {
namespace {

using testing::HasSubstr;

// "a{8}b": parts in order.
std::string shown(const GappedText& text) {
  std::string out;
  for (const GappedText::Part& part : text.parts)
    out += part.n > 0 ? fmt::format("<{}>", part.n) : fmt::format("({})", part.text);
  return out;
}

std::string refusal(const std::string& text) {
  try {
    return shown(GappedText::parse(text, "<|mask|>", 100));
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(GappedText, FindsGapsByTable) {
  const std::pair<const char*, const char*> cases[] = {
      {"a{{8}}b", "(a)<8>(b)"},
      {"{{8}}", "<8>"},
      {"{{1}}{{2}} x", "<1><2>( x)"},
      {"a{{008}}", "(a)<8>"},
      {"{{{8}}}", "({)<8>(})"},
      {"{{name}} {{ 8 }} {{}} {8} {{8} {{8}}", "({{name}} {{ 8 }} {{}} {8} {{8} )<8>"},
      {"\\{{8}} {{1}}", "({{8}} )<1>"},
      {"\\\\{{8}}", "(\\)<8>"},
      {"\\\\\\{{8}} {{1}}", "(\\{{8}} )<1>"},
      {"C:\\dir \\n{{1}} \\", "(C:\\dir \\n)<1>( \\)"},
      {"\\{{x}} {{1}}", "(\\{{x}} )<1>"},
      {"a<|mask|><|mask|>b", "(a)<1><1>(b)"},
      {"{{60}}{{40}}", "<60><40>"},
  };
  for (const auto& [text, want] : cases) EXPECT_EQ(refusal(text), want) << text;
}

TEST(GappedText, RefusesWhatIsNoGap) {
  for (const char* text : {"", "no gap", "{{x}}", "\\{{8}}", "{{8"}) {
    EXPECT_THAT(refusal(text), HasSubstr("no gap to fill; write {{8}}")) << text;
  }
  EXPECT_THAT(refusal("ab{{0}}"), HasSubstr("the gap {{0}} at byte 2 has no position"));
  for (const char* text : {"{{101}}", "{{99999999999999999999}}"}) {
    EXPECT_THAT(refusal(text), HasSubstr("longer than the context of 100 tokens")) << text;
  }
  EXPECT_THAT(refusal("{{60}} {{41}}"), HasSubstr("101 positions together, the context has 100"));
}

// With the tokens of the demo model.
class CanvasTextTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    model_ = TextModel::load(std::string(REPRISE_SOURCE_DIR) + "/models/dllm/dllm-demo.Q8_0.gguf",
                             {}, TextKind::kMasked);
  }
  static void TearDownTestSuite() { model_.reset(); }

  static std::vector<int32_t> tokens(const std::string& text) {
    return model_->tokenizer.tokenize(text, false, false);
  }
  static CanvasText gapped(const std::string& text, int32_t n_tail) {
    return CanvasText::with_gaps(*model_, GappedText::parse(text, "", 100), n_tail, end_);
  }

  static std::shared_ptr<const TextModel> model_;
  static constexpr int32_t end_ = 1;
};
std::shared_ptr<const TextModel> CanvasTextTest::model_;

TEST_F(CanvasTextTest, GapsBecomeMasksAndTheTailEndTokens) {
  const CanvasText text = gapped("12 + {{2}} = {{1}}\n", 3);
  const auto n_first = static_cast<int32_t>(tokens("12 + ").size());
  const auto n_middle = static_cast<int32_t>(tokens(" = ").size());
  EXPECT_EQ(text.canvas().gaps, (std::vector<Gap>{{n_first, 2}, {n_first + 2 + n_middle, 1}}));
  EXPECT_FALSE(text.canvas().is_answer);
  EXPECT_EQ(std::vector(text.canvas().ids.end() - 3, text.canvas().ids.end()),
            std::vector<int32_t>(3, end_));
}

TEST_F(CanvasTextTest, GapsAreStreamedAndKeptWhenLeft) {
  const CanvasText text = gapped("12 + {{2}} = {{1}}\n", 0);
  std::vector<int32_t> ids = text.canvas().ids;
  EXPECT_EQ(text.text(ids, false), "12 + ");
  EXPECT_EQ(text.text(ids, true), "12 + {{2}} = {{1}}\n");
  const Gap first = text.canvas().gaps[0];
  ids[first.first + 1] = tokens("4")[0];
  EXPECT_EQ(text.text(ids, false), "12 + ");
  EXPECT_EQ(text.text(ids, true), "12 + {{1}}4 = {{1}}\n");
  ids[first.first] = tokens("3")[0];
  EXPECT_EQ(text.text(ids, false), "12 + 34 = ");
  ids[text.canvas().gaps[1].first] = tokens("9")[0];
  EXPECT_EQ(text.text(ids, false), "12 + 34 = 9\n");
}

TEST_F(CanvasTextTest, NeighbouringGapsAreOneForTheModelAndStayTwoTexts) {
  const CanvasText text = gapped("a{{1}}{{2}}b", 0);
  EXPECT_EQ(text.canvas().gaps.size(), 1);
  EXPECT_EQ(text.text(text.canvas().ids, true), "a{{1}}{{2}}b");
}

TEST_F(CanvasTextTest, AnAnswerEndsAtItsEndToken) {
  const CanvasText text = CanvasText::answer(*model_, tokens("Q\n"), 4, 2, end_);
  std::vector<int32_t> ids = text.canvas().ids;
  const int32_t first = text.canvas().gaps[0].first;
  EXPECT_EQ(text.text(ids, true), "");
  ids[first] = tokens("1")[0];
  ids[first + 2] = tokens("3")[0];
  EXPECT_EQ(text.text(ids, false), "1");
  EXPECT_EQ(text.text(ids, true), "1");  // what comes behind a gap is not whole
  ids[first + 1] = end_;
  EXPECT_EQ(text.text(ids, false), "1");
}

TEST_F(CanvasTextTest, ACharacterWaitsForItsLastByte) {
  const std::vector<int32_t> bytes = tokens("é");
  ASSERT_EQ(bytes.size(), 2);  // no merge of the vocabulary makes it
  const CanvasText text = CanvasText::answer(*model_, tokens("Q\n"), 3, 0, end_);
  std::vector<int32_t> ids = text.canvas().ids;
  const int32_t first = text.canvas().gaps[0].first;
  ids[first] = bytes[0];
  EXPECT_EQ(text.text(ids, false), "");
  ids[first + 1] = bytes[1];
  EXPECT_EQ(text.text(ids, false), "é");
  ids[first + 1] = end_;
  EXPECT_EQ(text.text(ids, false), "\xef\xbf\xbd");  // it never becomes one
}

}  // namespace
}  // namespace reprise
