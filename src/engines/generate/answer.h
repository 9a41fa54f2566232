#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/logprobs.h"
#include "core/sampler.h"
#include "engines/generate/sequence.h"
#include "engines/text_model.h"
#include "reprise/answer.h"

namespace reprise {

struct AnswerOptions {
  SamplerOptions sampler;
  int32_t max_tokens = 512;
  std::vector<std::string> stop;  // texts that end the answer and are not part of it
  int32_t n_logprobs = 0;         // most probable tokens to report for each token, 0: none
};

// One token of an answer with what else was probable.
struct TokenChoice {
  TokenLogprob chosen;
  std::span<const TokenLogprob> top;  // [n_logprobs], best first; valid during the call
};

struct AnswerEvents {
  std::function<void(std::string_view text)> on_text = {};        // whole characters
  std::function<void(const TokenChoice& choice)> on_choice = {};  // with n_logprobs > 0
  std::function<bool()> is_cancelled = {};                        // asked before every token
};

struct AnswerReport {
  std::string text;
  std::vector<int32_t> tokens;  // those that entered the sequence
  FinishReason reason = FinishReason::kMaxTokens;
  double decode_s = 0;  // seconds in the engine, sampling included
  double policy_s = 0;  // of them for replacing KV entries
};

// Throws Error for options that generate_answer would refuse, before a prompt is read for it.
void check_answer_options(const AnswerOptions& options, const TextModel& model);

// Generates an answer from the logits that follow the sequence's last token. Every token of the
// answer but the one that ends it enters the sequence. Throws Error.
AnswerReport generate_answer(Sequence& sequence, const TextModel& model,
                             std::span<const float> logits, const AnswerOptions& options,
                             const AnswerEvents& events);

}  // namespace reprise
