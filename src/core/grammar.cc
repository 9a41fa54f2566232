#include "core/grammar.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "core/error.h"
#include "llama.h"

namespace reprise {

void Grammar::Free::operator()(llama_sampler* sampler) const { llama_sampler_free(sampler); }

Grammar::Grammar(const std::string& gbnf, const Tokenizer& tokenizer)
    : tokenizer_(tokenizer),
      sampler_(llama_sampler_init_grammar(tokenizer.vocab(), gbnf.c_str(), "root")) {
  if (sampler_ == nullptr) {
    throw Error("--grammar: libllama refuses the grammar; simplify it (see its GBNF guide)");
  }
  const int32_t n_vocab = tokenizer.n_vocab();
  bool has_end = false;
  is_silent_.resize(n_vocab);
  for (int32_t token = 0; token < n_vocab; ++token) {
    const bool is_end = tokenizer.is_end(token);
    has_end = has_end || is_end;
    is_silent_[token] = !is_end && tokenizer.piece(token).empty();
  }
  if (!has_end) {
    throw Error(
        "--grammar: the model's vocabulary has no end token, so no answer could end; "
        "leave the grammar out or convert the model again");
  }
  tokens_.reserve(n_vocab);
}

Grammar::Grammar(Grammar&& other) noexcept = default;
Grammar& Grammar::operator=(Grammar&& other) noexcept = default;
Grammar::~Grammar() = default;

void Grammar::add(int32_t token) {
  if (!is_silent_[token]) tokens_.push_back({token, 0, 0});
}

void Grammar::apply() {
  llama_token_data_array array = {tokens_.data(), tokens_.size(), -1, false};
  llama_sampler_apply(sampler_.get(), &array);
}

bool Grammar::allows(int32_t token) {
  if (token < 0 || static_cast<size_t>(token) >= is_silent_.size()) return false;
  const Candidate one{token, 0, 0};
  return first_allowed(std::span(&one, 1)) == token;
}

int32_t Grammar::first_allowed(std::span<const Candidate> candidates) {
  tokens_.clear();
  for (const Candidate& c : candidates) add(c.token);
  apply();
  for (const llama_token_data& t : tokens_) {
    if (t.logit == 0) return t.id;
  }
  return -1;
}

int32_t Grammar::mask(std::span<float> logits) {
  constexpr float kRefused = -std::numeric_limits<float>::infinity();
  tokens_.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] > kRefused) add(static_cast<int32_t>(i));
  }
  apply();
  // What was not asked about is silent or has no probability. tokens_ ascend, so one walk suffices.
  int32_t n_allowed = 0;
  auto asked = tokens_.begin();
  for (size_t i = 0; i < logits.size(); ++i) {
    const bool is_asked = asked != tokens_.end() && asked->id == static_cast<int32_t>(i);
    const bool is_allowed = is_asked && asked->logit == 0;
    if (is_asked) ++asked;
    if (is_allowed) {
      ++n_allowed;
    } else {
      logits[i] = kRefused;
    }
  }
  return n_allowed;
}

void Grammar::accept(int32_t token) {
  if (!allows(token)) {
    throw Error(
        fmt::format("--grammar: token {} does not fit the grammar here; accept only what "
                    "sample() gave",
                    token));
  }
  llama_sampler_accept(sampler_.get(), token);
}

}  // namespace reprise
