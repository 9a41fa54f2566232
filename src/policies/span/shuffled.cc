#include "policies/span/shuffled.h"

#include <utility>
#include <vector>

#include "core/split_mix.h"
#include "policies/span/listed_spans.h"

namespace reprise {

SpanNeeds ShuffledSpan::needs() const {
  SpanNeeds needs = adablock_->needs();
  needs.earlier_run = SpanNeeds::EarlierRun::kAdaBlock;
  return needs;
}

std::unique_ptr<SpanPlanner> ShuffledSpan::begin(const SpanRequest& request) const {
  const int32_t n_rest = check_earlier_lengths(kShuffledSpan.name, request);
  std::vector<SpanPlan> spans;
  for (const int32_t n : request.earlier_lengths) spans.push_back({.n = n});
  // Fisher and Yates; of 2^64 numbers the remainder favours none noticeably.
  SplitMix64 rng(request.seed);
  for (size_t n = spans.size(); n > 1; --n) std::swap(spans[n - 1], spans[rng.next() % n]);
  append_rest(n_rest, adablock_->config().b0, spans);
  return std::make_unique<ListedSpanPlanner>(std::move(spans));
}

const PolicyEntry kShuffledSpan = {
    .name = "span/shuffled",
    .summary = "the spans of span/adablock for the same prompt, in random order",
    .source = "ours, the control of span/adablock",
    .when_to_use = "in benches: what span/adablock gains over it comes from where spans end",
    .when_not = "real work; it answers every prompt twice",
    .options = adablock_options(),
    .make = [](const Options& o) -> std::unique_ptr<Policy> {
      return std::make_unique<ShuffledSpan>(
          std::make_shared<const AdaBlockSpan>(kAdaBlockSpan.name, adablock_config(o)));
    }};

}  // namespace reprise
