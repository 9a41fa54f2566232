#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/tokenizer.h"
#include "engines/generate/agreement.h"
#include "engines/generate/named_policy.h"
#include "engines/generate/sequence.h"
#include "engines/generate/tokens_read.h"

namespace reprise {

// What one policy makes of the contexts read so far.
struct PerplexityRow {
  std::string policy;
  Mean nll;               // negative log-likelihood of the scored tokens, in nats
  Agreement agreement;    // with the full cache; empty when it is not among the policies
  Mean held_bytes;        // of the KV cache when scoring starts, one value a context
  int64_t n_dropped = 0;  // entries dropped by prefills, over all contexts
  double seconds = 0;

  double perplexity() const;
  // One standard error, by the first-order rule: that of the mean times the perplexity.
  double error() const;
};

// Perplexity over contexts that do not overlap, as llama.cpp's tool computes it: the first half of
// a context is read unscored, and every token of the rest but its first is scored given all before
// it (context[n/2 + 1] to context[n - 1]). An evicting policy prefills the unscored half, so that
// the scored one is read on what the policy holds; scored tokens enter by the policy's decode mode.
// All policies go through a context together, and their KV caches are in memory at once.
class PerplexityEval {
 public:
  // `bos` replaces the first token of each context; -1: it stays. Throws Error.
  PerplexityEval(const std::shared_ptr<const DecoderModel>& model, const Backend& backend,
                 std::vector<NamedPolicy> policies, int32_t bos);

  static constexpr int32_t kMinContext = 8;
  // Tokens that one context scores, and that it makes all policies together read.
  static int32_t n_scored(int32_t n_ctx) { return n_ctx - n_ctx / 2 - 1; }
  int64_t n_read(int32_t n_ctx) const {
    return static_cast<int64_t>(n_ctx - 1) * static_cast<int64_t>(policies_.size());
  }

  // Scores one more context of at least kMinContext tokens. Throws Error; the rows then are as
  // before, and also when `read` throws.
  void add(std::span<const int32_t> context, const TokensRead& read);

  // In the order of the policies.
  const std::vector<PerplexityRow>& rows() const { return rows_; }

 private:
  void score(PerplexityRow& row, std::span<const float> logits, std::span<const int32_t> targets);

  std::vector<NamedPolicy> policies_;
  std::vector<std::unique_ptr<Sequence>> sequences_;
  int32_t bos_;
  int32_t n_vocab_;
  std::vector<size_t> order_;     // of the policies in a pass: the full cache first
  std::vector<float> reference_;  // logits of the full cache in the current pass
  std::vector<PerplexityRow> rows_;
};

// The token that every context begins with, -1 where the model wants none.
int32_t context_bos(const Tokenizer& tokenizer);

}  // namespace reprise
