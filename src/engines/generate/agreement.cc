#include "engines/generate/agreement.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/logprobs.h"

namespace reprise {

double Mean::value() const { return n_ == 0 ? 0 : sum_ / static_cast<double>(n_); }

double Mean::error() const {
  if (n_ < 2) return 0;
  const double mean = value();
  const double variance = sum_of_squares_ / static_cast<double>(n_) - mean * mean;
  return std::sqrt(std::max(0.0, variance) / static_cast<double>(n_ - 1));
}

double kl_divergence(std::span<const float> full, std::span<const float> other) {
  if (full.size() != other.size()) {
    throw Error(fmt::format("{} and {} logits are no two distributions over one vocabulary",
                            full.size(), other.size()));
  }
  const double full_shift = log_sum_exp(full);
  const double other_shift = log_sum_exp(other);
  double sum = 0;
  for (size_t i = 0; i < full.size(); ++i) {
    const double logprob = full[i] - full_shift;
    const double p = std::exp(logprob);
    if (p > 0) sum += p * (logprob - (other[i] - other_shift));
  }
  return std::max(0.0, sum);  // rounding alone goes below
}

int32_t best_token(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

void Agreement::add(std::span<const float> full, std::span<const float> policy, int32_t n_vocab) {
  if (full.size() != policy.size() || full.size() % n_vocab != 0) {
    throw Error(
        fmt::format("{} and {} logits do not belong to the same tokens of a vocabulary of {}",
                    full.size(), policy.size(), n_vocab));
  }
  for (size_t at = 0; at < full.size(); at += n_vocab) {
    const std::span<const float> of_full = full.subspan(at, n_vocab);
    const std::span<const float> of_policy = policy.subspan(at, n_vocab);
    kl.add(kl_divergence(of_full, of_policy));
    n_same_best += best_token(of_full) == best_token(of_policy) ? 1 : 0;
  }
}

double Agreement::same_best() const {
  return kl.n() == 0 ? 1 : static_cast<double>(n_same_best) / static_cast<double>(kl.n());
}

}  // namespace reprise
