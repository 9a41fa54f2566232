#pragma once

#include <memory>
#include <utility>

#include "policies/registry.h"
#include "policies/span/adablock.h"

namespace reprise {

// Takes the spans that AdaBlock cut the same request into, up to where its answer ended, in random
// order: as many, as long, but aligned to nothing; b0 behind them. Where it does as well as
// AdaBlock, the gain comes from shorter spans and not from the text. Source: ours, after
// AdaBlock-dLLM, arXiv 2509.26432.
class ShuffledSpan final : public SpanPolicy {
 public:
  explicit ShuffledSpan(std::shared_ptr<const AdaBlockSpan> adablock)
      : adablock_(std::move(adablock)) {}
  // Asks for AdaBlock's run.
  SpanNeeds needs() const override;
  std::shared_ptr<const SpanPolicy> earlier() const override { return adablock_; }
  // The order comes from the request's seed. Throws Error without the earlier run's lengths.
  std::unique_ptr<SpanPlanner> begin(const SpanRequest& request) const override;

 private:
  std::shared_ptr<const AdaBlockSpan> adablock_;
};

extern const PolicyEntry kShuffledSpan;

}  // namespace reprise
