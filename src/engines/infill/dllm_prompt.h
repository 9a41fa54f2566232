#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/tokenizer.h"

namespace reprise {

// A prompt with the one right answer, both as the model sees them.
struct DllmPrompt {
  std::string task;  // "story"
  std::string prompt;
  std::string answer;
};

// Reads JSON Lines of {"task", "prompt", "answer"}, as tools/dllm_prompts.py writes them; empty
// lines are passed over. `name` stands in errors. Throws Error with the line's number, and when
// there is no prompt.
std::vector<DllmPrompt> parse_dllm_prompts(std::string_view text, const std::string& name);
std::vector<DllmPrompt> read_dllm_prompts(const std::string& path);

// The first n of every task, in the file's order; fewer where a task has fewer.
std::vector<DllmPrompt> first_of_each_task(const std::vector<DllmPrompt>& prompts, int32_t n);

// How much of an answer is right.
struct DllmVerdict {
  bool is_right = false;      // all of it, and it ends where it should
  int32_t n_lines = 0;        // of the right answer
  int32_t n_right_lines = 0;  // equal to it, line by line
};

// Judges an answer: its tokens in front of the end token, and whether that end token is there. Of a
// right answer longer than the budget as much has to be equal as the budget holds.
DllmVerdict judge_dllm(const std::vector<int32_t>& want, const std::vector<int32_t>& got,
                       bool has_ended, int32_t budget, const Tokenizer& tokenizer);

}  // namespace reprise
