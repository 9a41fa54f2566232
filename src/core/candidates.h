#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace reprise {

struct Candidate {
  int32_t token = 0;
  float logit = 0;
  double weight = 0;  // exp((logit - largest logit) / temp), so the best has 1
};

// How many of the tokens a draw chooses from, in this order: top_k, top_p, min_p, then temperature
// (llama.cpp's default order, so that its users find the same text quality at the same numbers).
struct Truncation {
  float temp = 0;     // 0: the best token alone
  int32_t top_k = 0;  // 0: all
  float top_p = 1;    // smallest set of the best tokens whose probabilities reach it; 1: all
  float min_p = 0;    // at least this share of the best token's probability; 0: all
};

// Chooses the candidates of a draw. All memory is taken at construction. Equal logits are ordered
// by token and sums are taken in that order in F64, so that the result depends on no standard
// library.
class Candidates {
 public:
  // Truncation's numbers are in range (SamplerOptions::check).
  Candidates(const Truncation& truncation, int32_t n_vocab);

  // Candidates of the logits [n_vocab], never none. The view holds until the next call of select or
  // best. Throws Error when the logits hold NaN or +inf or nothing but -inf.
  std::span<const Candidate> select(std::span<const float> logits);
  // The k best tokens of the logits, best first, with weights of 0; fewer when the others are -inf.
  // k is at most max(top_k, kMaxBest). View and errors as above.
  std::span<const Candidate> best(std::span<const float> logits, int32_t k);

  static constexpr int32_t kMaxBest = 128;

 private:
  std::span<Candidate> keep_best(std::span<const float> logits, int32_t k);
  std::span<Candidate> cut_best(std::span<Candidate> sorted) const;
  std::span<Candidate> cut_all(std::span<const float> logits);

  Truncation truncation_;
  float min_p_log_;  // -inf for none
  std::vector<Candidate> pool_;
};

}  // namespace reprise
