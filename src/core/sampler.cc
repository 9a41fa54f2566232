#include "core/sampler.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "core/grammar_check.h"

namespace reprise {
namespace {

template <typename T>
void check_range(const char* flag, T value, T least, T most, const char* advice) {
  if (value >= least && value <= most) return;  // NaN fails both
  throw Error(fmt::format("{} {}: must be from {} to {}; {}", flag, value, least, most, advice));
}

bool penalizes(const SamplerOptions& options) {
  return options.repeat_penalty != 1 && options.repeat_last_n > 0;
}

SamplerOptions checked(const SamplerOptions& options) {
  options.check();
  return options;
}

}  // namespace

void SamplerOptions::check() const {
  check_range("--temp", temp, 0.0F, 100.0F, "0 always takes the most probable token");
  check_range("--top-k", top_k, 0, INT32_MAX, "0 takes all tokens");
  check_range("--top-p", top_p, 0.0F, 1.0F, "1 takes all tokens");
  check_range("--min-p", min_p, 0.0F, 1.0F, "0 takes all tokens");
  check_range("--repeat-penalty", repeat_penalty, 0.01F, 100.0F, "1 is no penalty");
  check_range("--repeat-last-n", repeat_last_n, 0, 65536, "0 is no penalty");
  if (!grammar.empty()) check_grammar(grammar);
}

Sampler::Sampler(const SamplerOptions& options, const Tokenizer& tokenizer)
    : options_(checked(options)),
      n_vocab_(tokenizer.n_vocab()),
      candidates_({options.temp, options.top_k, options.top_p, options.min_p}, n_vocab_),
      rng_(options.seed) {
  if (!options_.grammar.empty()) grammar_.emplace(options_.grammar, tokenizer);
  if (grammar_ || penalizes(options_)) scratch_.resize(n_vocab_);
  if (penalizes(options_)) recent_.resize(options_.repeat_last_n);
}

int32_t Sampler::sample(std::span<const float> logits) {
  if (logits.size() != static_cast<size_t>(n_vocab_)) {
    throw Error(fmt::format("{} logits for a vocabulary of {} tokens; convert the model again",
                            logits.size(), n_vocab_));
  }
  const std::span<const float> changed = penalized(logits);
  return grammar_ ? sample_by_grammar(changed) : draw(candidates_.select(changed));
}

// A token counts once however often it stands in the ring: each is computed from the model's own
// logit. Only then does the penalty weaken negative logits too (they are multiplied).
std::span<const float> Sampler::penalized(std::span<const float> logits) {
  if (recent_.empty()) return logits;
  std::copy(logits.begin(), logits.end(), scratch_.begin());
  const size_t n_recent = std::min(n_accepted_, recent_.size());
  for (const int32_t token : std::span(recent_).first(n_recent)) {
    const float logit = logits[token];
    scratch_[token] =
        logit <= 0 ? logit * options_.repeat_penalty : logit / options_.repeat_penalty;
  }
  return scratch_;
}

// Checking one token against the grammar costs microseconds, the whole vocabulary milliseconds. So
// the free choice comes first, and only where the grammar refuses it the choice is made again among
// what it allows. Without truncation this keeps the probabilities: a token of probability p among
// an allowed share q is drawn with p + (1 - q) p / q = p / q. With truncation the second choice
// truncates the allowed tokens alone, so that there is always one left.
int32_t Sampler::sample_by_grammar(std::span<const float> logits) {
  const int32_t free_choice = draw(candidates_.select(logits));
  if (grammar_->allows(free_choice)) return free_choice;
  if (options_.temp == 0) {
    const auto best = candidates_.best(logits, Candidates::kMaxBest);
    const int32_t allowed = grammar_->first_allowed(best);
    if (allowed >= 0) return allowed;
  }
  if (logits.data() != scratch_.data()) std::copy(logits.begin(), logits.end(), scratch_.begin());
  if (grammar_->mask(scratch_) == 0) {
    throw Error(
        "--grammar: no token of the vocabulary continues the answer here; widen the grammar's "
        "character sets or check what follows the last printed text");
  }
  return draw(candidates_.select(scratch_));
}

int32_t Sampler::draw(std::span<const Candidate> candidates) {
  if (candidates.size() == 1) return candidates[0].token;
  double total = 0;
  for (const Candidate& c : candidates) total += c.weight;
  const double target = rng_.uniform() * total;
  double sum = 0;
  for (const Candidate& c : candidates) {
    sum += c.weight;
    if (sum > target) return c.token;
  }
  return candidates.front().token;  // uniform() < 1, but its product may round up to the total
}

void Sampler::remember(int32_t token) {
  if (!recent_.empty()) recent_[n_accepted_++ % recent_.size()] = token;
}

void Sampler::accept(int32_t token) {
  if (grammar_) grammar_->accept(token);
  accept_prompt(std::span(&token, 1));
}

void Sampler::accept_prompt(std::span<const int32_t> tokens) {
  for (const int32_t token : tokens) {
    if (token < 0 || token >= n_vocab_) {
      throw Error(fmt::format("token {} lies outside of the vocabulary of {}", token, n_vocab_));
    }
    remember(token);
  }
}

}  // namespace reprise
