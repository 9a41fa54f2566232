#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/candidates.h"
#include "core/grammar.h"
#include "core/split_mix.h"
#include "core/tokenizer.h"

namespace reprise {

// How the next token is chosen. Applied in this order: repetition penalty, top_k, top_p, min_p,
// temperature; a grammar stands above all of them.
struct SamplerOptions {
  float temp = 0;              // --temp, 0 to 100; 0: the most probable token (greedy)
  int32_t top_k = 40;          // --top-k, 0: all
  float top_p = 0.95F;         // --top-p, 0 to 1; 1: all
  float min_p = 0.05F;         // --min-p, 0 to 1; 0: all
  float repeat_penalty = 1;    // --repeat-penalty, 0.01 to 100; 1: none
  int32_t repeat_last_n = 64;  // --repeat-last-n, 0 to 65536: how far back the penalty looks
  uint64_t seed = 0;           // --seed: same seed, logits and options give the same tokens
  std::string grammar;         // --grammar, GBNF text; empty: none

  // Throws Error for a number out of its range or NaN, and for a bad grammar.
  void check() const;
};

// Chooses tokens of one answer. Without a grammar nothing is allocated after construction; what
// libllama allocates for a grammar is its own. Not thread-safe.
class Sampler {
 public:
  // Throws Error as check() does, and when the tokenizer's vocabulary cannot carry the grammar.
  Sampler(const SamplerOptions& options, const Tokenizer& tokenizer);

  // The next token after logits [n_vocab] of the model. It is not yet part of the text: accept()
  // makes it so. With a grammar whose text is complete this is one of the end tokens. Throws Error
  // when n_vocab differs, when the logits hold NaN or +inf or nothing but -inf, and when no token
  // fits the grammar (the text so far is then no text of the grammar, so it must not end quietly).
  int32_t sample(std::span<const float> logits);

  // Appends a token to the answer. Throws Error for one outside of the vocabulary or the grammar.
  void accept(int32_t token);
  // Tokens that stand before the answer: the repetition penalty sees them, the grammar does not.
  void accept_prompt(std::span<const int32_t> tokens);

 private:
  std::span<const float> penalized(std::span<const float> logits);
  int32_t sample_by_grammar(std::span<const float> logits);
  int32_t draw(std::span<const Candidate> candidates);
  void remember(int32_t token);

  SamplerOptions options_;
  int32_t n_vocab_;
  Candidates candidates_;
  SplitMix64 rng_;
  std::optional<Grammar> grammar_;
  std::vector<float> scratch_;   // changed logits; empty when there is nothing to change
  std::vector<int32_t> recent_;  // ring of the last repeat_last_n tokens; empty without a penalty
  size_t n_accepted_ = 0;        // tokens that ever entered the ring
};

}  // namespace reprise
