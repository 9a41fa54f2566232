#include "core/logprobs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"

namespace reprise {

double log_sum_exp(std::span<const float> logits) {
  float largest = -std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] <= largest) continue;
    if (std::isnan(logits[i]) || std::isinf(logits[i])) {
      throw Error(fmt::format(
          "the model's logit of token {} is {}; the model file is damaged, fetch it again", i,
          logits[i]));
    }
    largest = logits[i];
  }
  if (std::isinf(largest)) {
    throw Error(
        fmt::format("none of the model's {} logits is finite; the model file is damaged, "
                    "fetch it again",
                    logits.size()));
  }
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  return largest + std::log(sum);
}

float log_probabilities(std::span<const float> logits, int32_t token, std::span<TokenLogprob> top) {
  if (token < 0 || static_cast<size_t>(token) >= logits.size()) {
    throw Error(fmt::format("token {} lies outside of the {} logits", token, logits.size()));
  }
  if (top.size() > logits.size()) {
    throw Error(fmt::format("--logprobs {}: the vocabulary has {} tokens; ask for fewer",
                            top.size(), logits.size()));
  }
  const double shift = log_sum_exp(logits);
  // `top` holds the logits of the best so far, as a heap with the worst of them in front.
  const auto before = [](const TokenLogprob& a, const TokenLogprob& b) {
    return a.logprob > b.logprob || (a.logprob == b.logprob && a.token < b.token);
  };
  const auto n_top = static_cast<int32_t>(top.size());
  for (int32_t i = 0; i < n_top; ++i) top[i] = {i, logits[i]};
  std::make_heap(top.begin(), top.end(), before);
  for (size_t i = top.size(); i < logits.size() && n_top > 0; ++i) {
    if (logits[i] <= top.front().logprob) continue;
    std::pop_heap(top.begin(), top.end(), before);
    top.back() = {static_cast<int32_t>(i), logits[i]};
    std::push_heap(top.begin(), top.end(), before);
  }
  std::sort_heap(top.begin(), top.end(), before);
  for (TokenLogprob& t : top) t.logprob = static_cast<float>(t.logprob - shift);
  return static_cast<float>(logits[token] - shift);
}

}  // namespace reprise
