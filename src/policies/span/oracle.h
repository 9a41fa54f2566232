#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "policies/registry.h"

namespace reprise {

// Ends spans at the delimiters of the text that the model itself writes with one token a pass: what
// could be won if delimiters were foreseen without fault. Source: ours, after AdaBlock-dLLM,
// arXiv 2509.26432.
class OracleSpan final : public SpanPolicy {
 public:
  // b0: positions of a span behind the last delimiter.
  OracleSpan(int32_t b0, std::string delimiters) : b0_(b0), delimiters_(std::move(delimiters)) {}
  SpanNeeds needs() const override;
  // The earlier lengths are lengths_at_delimiters: all but the last end at a delimiter; the last is
  // cut into spans of b0. Throws Error without them.
  std::unique_ptr<SpanPlanner> begin(const SpanRequest& request) const override;

 private:
  int32_t b0_;
  std::string delimiters_;
};

// The lengths of the parts of a text that end at its delimiters, and of what follows the last one,
// in order; they sum to its length.
std::vector<int32_t> lengths_at_delimiters(std::span<const int32_t> tokens,
                                           const TokenSet& delimiters);

extern const PolicyEntry kOracleSpan;

}  // namespace reprise
