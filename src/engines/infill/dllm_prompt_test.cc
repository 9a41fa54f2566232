#include "engines/infill/dllm_prompt.h"

#include <gtest/gtest.h>

#include <string>

#include "core/error.h"
#include "core/gguf_file.h"

namespace reprise {
namespace {

Tokenizer demo_tokenizer() {
  return Tokenizer::load(
      GgufFile::open(std::string(REPRISE_SOURCE_DIR) + "/models/dllm/dllm-demo.Q8_0.gguf"));
}

TEST(DllmPrompt, ReadsLinesAndPassesOverEmptyOnes) {
  const auto prompts = parse_dllm_prompts(
      "{\"task\":\"a\",\"prompt\":\"p\",\"answer\":\"q\"}\n\n"
      "{\"task\":\"b\",\"prompt\":\"r\",\"answer\":\"s\",\"more\":1}\n",
      "x");
  ASSERT_EQ(prompts.size(), 2U);
  EXPECT_EQ(prompts[1].task, "b");
  EXPECT_EQ(prompts[1].answer, "s");
}

TEST(DllmPrompt, RefusesBadLinesWithTheirNumber) {
  for (const char* bad : {"{", "[]", "{\"task\":\"a\",\"prompt\":\"p\"}", "7",
                          "{\"task\":\"a\",\"prompt\":3,\"answer\":\"q\"}",
                          "{\"task\":\"\",\"prompt\":\"p\",\"answer\":\"q\"}"}) {
    try {
      parse_dllm_prompts("{\"task\":\"a\",\"prompt\":\"p\",\"answer\":\"q\"}\n" + std::string(bad),
                         "file");
      ADD_FAILURE() << bad;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("file:2: "), std::string::npos) << error.what();
    }
  }
  EXPECT_THROW(parse_dllm_prompts("\n\n", "file"), Error);
  EXPECT_THROW(parse_dllm_prompts("{\"task\":\"\xff\"}", "file"), Error);
}

TEST(DllmPrompt, TakesTheFirstOfEachTask) {
  std::vector<DllmPrompt> prompts;
  for (const char* task : {"a", "b", "a", "a", "b"}) prompts.push_back({task, "p", "q"});
  EXPECT_EQ(first_of_each_task(prompts, 2).size(), 4U);
  EXPECT_EQ(first_of_each_task(prompts, 9).size(), 5U);
}

TEST(DllmPrompt, JudgesTokensEndAndLines) {
  const Tokenizer tokenizer = demo_tokenizer();
  const std::vector<int32_t> want = tokenizer.tokenize("A: 1 + 2 = 3.\nB: 4.\n", false, false);
  const auto n = static_cast<int32_t>(want.size());
  EXPECT_TRUE(judge_dllm(want, want, true, 128, tokenizer).is_right);
  EXPECT_EQ(judge_dllm(want, want, true, 128, tokenizer).n_right_lines, 2);
  EXPECT_FALSE(judge_dllm(want, want, false, 128, tokenizer).is_right) << "it goes on";
  // An answer that fills the budget has no place for its end.
  EXPECT_TRUE(judge_dllm(want, want, false, n, tokenizer).is_right);
  const std::vector<int32_t> cut(want.begin(), want.begin() + 5);
  EXPECT_TRUE(judge_dllm(want, cut, false, 5, tokenizer).is_right);
  EXPECT_FALSE(judge_dllm(want, cut, true, 128, tokenizer).is_right);
  const DllmVerdict wrong = judge_dllm(
      want, tokenizer.tokenize("A: 1 + 2 = 4.\nB: 4.\n", false, false), true, 128, tokenizer);
  EXPECT_FALSE(wrong.is_right);
  EXPECT_EQ(wrong.n_lines, 2);
  EXPECT_EQ(wrong.n_right_lines, 1);
}

}  // namespace
}  // namespace reprise
