#pragma once

#include <cstdint>
#include <span>

namespace reprise {

struct TokenLogprob {
  int32_t token = 0;
  float logprob = 0;  // natural logarithm
};

// Logarithm of the sum of exp(logit) over logits [n_vocab]: what a logit loses to become a log
// probability. Summed in F64: 150,000 terms in F32 would lose three digits. Throws Error when they
// hold NaN, +inf or nothing but -inf.
double log_sum_exp(std::span<const float> logits);

// Log probabilities of the model itself (softmax of the raw logits [n_vocab], before any sampling
// option): fills `top` with the most probable tokens, best first, equal ones by ascending token,
// and returns that of `token`. Allocates nothing. Throws Error when `token` lies outside of the
// logits, `top` is larger than they are, or they hold NaN, +inf or nothing but -inf.
float log_probabilities(std::span<const float> logits, int32_t token, std::span<TokenLogprob> top);

}  // namespace reprise
