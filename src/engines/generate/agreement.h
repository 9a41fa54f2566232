#pragma once

#include <cstdint>
#include <span>

namespace reprise {

// A mean with its standard error, for values taken to be independent.
class Mean {
 public:
  void add(double value) {
    ++n_;
    sum_ += value;
    sum_of_squares_ += value * value;
  }
  int64_t n() const { return n_; }
  double value() const;  // 0 without values
  double error() const;  // 0 with fewer than two

 private:
  int64_t n_ = 0;
  double sum_ = 0;
  double sum_of_squares_ = 0;
};

// KL(full || other) of the next-token distributions behind two rows of logits [n_vocab], in nats.
// Throws Error when the sizes differ or a row is no distribution (log_sum_exp).
double kl_divergence(std::span<const float> full, std::span<const float> other);

// Token with the highest logit, the first of equal ones.
int32_t best_token(std::span<const float> logits);

// How far a policy's next-token distributions are from those of the full cache, token by token.
struct Agreement {
  Mean kl;                  // KL(full || policy) in nats
  int64_t n_same_best = 0;  // tokens at which both find the same token most probable

  // Takes rows of logits [n_vocab, n_tokens] of both. Throws Error as kl_divergence does.
  void add(std::span<const float> full, std::span<const float> policy, int32_t n_vocab);
  // Share of the tokens at which both agree on the best; 1 without tokens.
  double same_best() const;
};

}  // namespace reprise
