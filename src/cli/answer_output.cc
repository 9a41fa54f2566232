#include "cli/answer_output.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "cli/interrupt.h"
#include "core/error.h"

namespace reprise {

void AnswerOutput::write(std::string_view text) {
  if (text.empty()) return;
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw Error(fmt::format("standard output cannot be written: {}", std::strerror(errno)));
  }
  ends_line_ = text.back() == '\n';
}

void AnswerOutput::print_choice(const TokenChoice& choice) const {
  const auto show = [&](const TokenLogprob& t) {
    return fmt::format("{:?} {:.3f}", model_.tokenizer.piece(t.token), t.logprob);
  };
  std::string line = show(choice.chosen) + " |";
  for (const TokenLogprob& other : choice.top) line += "  " + show(other);
  fmt::print(stderr, "{}\n", line);
}

AnswerEvents AnswerOutput::events(const AnswerOptions& options, SpanRecorder& spans) {
  AnswerEvents events;
  events.on_text = [this](std::string_view text) { write(text); };
  if (options.n_logprobs > 0) {
    events.on_choice = [this](const TokenChoice& choice) { print_choice(choice); };
  }
  events.is_cancelled = [&spans] {
    spans.add("decode", "token");
    return was_interrupted();
  };
  return events;
}

void AnswerOutput::end() {
  if (!ends_line_) write("\n");
}

}  // namespace reprise
