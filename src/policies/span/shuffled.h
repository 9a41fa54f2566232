#pragma once

#include <string>

#include "policies/registry.h"
#include "policies/span/adablock.h"

namespace reprise {

// Takes the spans that AdaBlock cut the same request into, in random order: as many, as long on
// average, but aligned to nothing. Where it does as well as AdaBlock, the gain comes from shorter
// spans and not from the text. Source: ours, after AdaBlock-dLLM, arXiv 2509.26432.
class ShuffledSpan final : public SpanPolicy {
 public:
  // Of the AdaBlock that has the same options.
  explicit ShuffledSpan(SpanNeeds of_adablock);
  // Asks for AdaBlock's run.
  SpanNeeds needs() const override { return needs_; }
  int32_t lookahead(int32_t /*budget*/) const override { return 0; }
  // The order comes from the request's seed. Throws Error without the earlier run's lengths.
  std::unique_ptr<SpanPlanner> begin(const SpanRequest& request) const override;

 private:
  SpanNeeds needs_;
};

extern const PolicyEntry kShuffledSpan;

}  // namespace reprise
