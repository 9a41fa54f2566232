#pragma once

#include <string_view>

#include "cli/span_recorder.h"
#include "engines/generate/answer.h"
#include "engines/text_model.h"

namespace reprise {

// Streams an answer to standard output as it is made; log probabilities go to standard error.
class AnswerOutput {
 public:
  explicit AnswerOutput(const TextModel& model) : model_(model) {}

  // Events for generate_answer; they refer to this object and `spans`. Ctrl-C cancels the answer.
  // Writing throws Error when standard output is closed or full.
  AnswerEvents events(const AnswerOptions& options, SpanRecorder& spans);
  // Writes and flushes text of the answer. Throws Error.
  void write(std::string_view text);
  // Ends the answer's last line.
  void end();

 private:
  void print_choice(const TokenChoice& choice) const;

  const TextModel& model_;
  bool ends_line_ = true;
};

}  // namespace reprise
