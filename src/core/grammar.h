#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/candidates.h"
#include "core/tokenizer.h"

struct llama_sampler;
struct llama_token_data;

namespace reprise {

// The state of a GBNF grammar over the tokens accepted so far, through libllama. A token that
// prints nothing (control tokens) is never allowed, for the text one sees shall be a text of the
// grammar; only a complete text allows the end tokens, and what may still go on allows both.
class Grammar {
 public:
  // The text has passed check_grammar. Throws Error when libllama refuses it all the same, or when
  // the vocabulary has no end token.
  Grammar(const std::string& gbnf, const Tokenizer& tokenizer);
  Grammar(Grammar&& other) noexcept;
  Grammar& operator=(Grammar&& other) noexcept;
  ~Grammar();

  // Whether the token may come next; false outside of the vocabulary.
  bool allows(int32_t token);
  // The first of the candidates that may come next, -1 when none may. At most Candidates::kMaxBest.
  int32_t first_allowed(std::span<const Candidate> candidates);
  // Sets the logits [n_vocab] of what may not come next to -inf; returns how many stay finite.
  int32_t mask(std::span<float> logits);
  // Takes the token. Throws Error for one that is not allowed.
  void accept(int32_t token);

 private:
  void add(int32_t token);  // to tokens_, unless it is silent
  void apply();             // gives refused tokens_ a logit of -inf

  struct Free {
    void operator()(llama_sampler* sampler) const;
  };
  Tokenizer tokenizer_;  // keeps the vocabulary that the sampler points to
  std::unique_ptr<llama_sampler, Free> sampler_;
  std::vector<bool> is_silent_;           // [n_vocab]
  std::vector<llama_token_data> tokens_;  // asked about; capacity n_vocab
};

}  // namespace reprise
