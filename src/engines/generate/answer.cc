#include "engines/generate/answer.h"

#include <fmt/format.h>

#include <chrono>

#include "core/error.h"
#include "core/stop_text.h"
#include "core/utf8.h"

namespace reprise {
namespace {

// Turns tokens into text that may be shown: whole characters, no stop texts.
class AnswerText {
 public:
  AnswerText(const std::vector<std::string>& stop, const AnswerEvents& events, std::string& text)
      : stop_(stop), events_(events), text_(text) {}

  // False when a stop text was met.
  bool push(std::string_view piece) {
    show(stop_.push(characters_.push(piece)));
    return !stop_.is_met();
  }
  void finish() {
    show(stop_.push(characters_.finish()));
    if (!stop_.is_met()) show(stop_.finish());
  }

 private:
  void show(std::string_view text) {
    text_ += text;
    if (events_.on_text && !text.empty()) events_.on_text(text);
  }

  Utf8Stream characters_;
  StopText stop_;
  const AnswerEvents& events_;
  std::string& text_;
};

}  // namespace

void check_answer_options(const AnswerOptions& options, const TextModel& model) {
  if (options.max_tokens < 1) {
    throw Error(fmt::format("max_tokens is {}, at least 1 is needed", options.max_tokens));
  }
  const Sampler sampler(options.sampler, model.tokenizer);
  const StopText stop(options.stop);
}

AnswerReport generate_answer(Sequence& sequence, const TextModel& model,
                             std::span<const float> logits, const AnswerOptions& options,
                             const AnswerEvents& events) {
  using Clock = std::chrono::steady_clock;
  AnswerReport report;
  report.tokens.reserve(options.max_tokens);
  Sampler sampler(options.sampler, model.tokenizer);
  AnswerText text(options.stop, events, report.text);
  std::vector<TokenLogprob> top(options.n_logprobs);
  Clock::duration spent{};
  const double policy_before = sequence.decode_policy_s();
  for (int32_t i = 0; i < options.max_tokens; ++i) {
    if (events.is_cancelled && events.is_cancelled()) {
      report.reason = FinishReason::kCancelled;
      break;
    }
    Clock::time_point start = Clock::now();
    const int32_t token = sampler.sample(logits);
    sampler.accept(token);
    spent += Clock::now() - start;
    if (model.tokenizer.is_end(token)) {
      report.reason = FinishReason::kEndOfTurn;
      break;
    }
    if (options.n_logprobs > 0 && events.on_choice) {
      const float logprob = log_probabilities(logits, token, top);
      events.on_choice({{token, logprob}, top});
    }
    report.tokens.push_back(token);
    const bool goes_on = text.push(model.tokenizer.piece(token));
    start = Clock::now();
    logits = sequence.decode(token);
    spent += Clock::now() - start;
    if (!goes_on) {
      report.reason = FinishReason::kStopText;
      break;
    }
  }
  text.finish();
  report.decode_s = std::chrono::duration<double>(spent).count();
  report.policy_s = sequence.decode_policy_s() - policy_before;
  return report;
}

}  // namespace reprise
