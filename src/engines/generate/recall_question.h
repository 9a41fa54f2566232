#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace reprise {

// One question about one document.
struct RecallQuestion {
  enum class Kind : uint8_t {
    kPairs,  // records `key=value;` for the recall model: read without a template
    kFacts,  // prose for a chat model
  };
  std::string document;
  std::string question;
  std::string answer;
  double depth = 0;  // where in the document the answer stands, 0 first, 1 last
  Kind kind = Kind::kFacts;

  // Longest answer to generate, in tokens.
  int32_t max_tokens() const;
};

// Reads JSON Lines of {"document", "question", "answer", "depth", "kind": "pairs"|"facts"}; other
// keys are passed over, empty lines too. `name` stands in errors. Throws Error with the line's
// number, and when there is no question.
std::vector<RecallQuestion> parse_recall_questions(std::string_view text, const std::string& name);
// The same from a file.
std::vector<RecallQuestion> read_recall_questions(const std::string& path);

enum class RecallVerdict : uint8_t { kOpen, kRight, kWrong };

// Judges what a model has generated so far. Pairs: the text has to begin with the answer. Facts:
// its first line that is not empty has to contain the answer, in upper or lower case, and a number
// not as a part of a longer one. `is_whole`: nothing more comes, and the verdict is not kOpen.
RecallVerdict judge_recall(const RecallQuestion& question, std::string_view text, bool is_whole);

}  // namespace reprise
