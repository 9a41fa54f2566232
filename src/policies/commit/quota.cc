#include "policies/commit/quota.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "core/error.h"
#include "policies/commit/chosen_rows.h"

namespace reprise {

void QuotaCommit::check(int32_t budget, int32_t fixed_length) const {
  if (fixed_length == 0) {
    throw Error(
        "commit/quota: the lengths of the spans are not known beforehand, so the steps cannot be "
        "shared out; take --span fixed or whole, or --commit threshold");
  }
  const int32_t n_span = std::min(fixed_length, budget);
  if (budget % n_span != 0) {
    throw Error(fmt::format(
        "commit/quota: spans of {} positions do not divide a budget of {}; change one of them",
        n_span, budget));
  }
  const int32_t n_spans = budget / n_span;
  if (steps_ > budget || steps_ % n_spans != 0) {
    throw Error(fmt::format(
        "commit/quota: steps={} do not fit a budget of {} positions in {} spans; give a multiple "
        "of {} up to {}, or 0 for one step a position",
        steps_, budget, n_spans, n_spans, budget));
  }
}

void QuotaCommit::choose(const CommitView& view, std::vector<int32_t>& chosen) const {
  std::vector<float> scores = finite_scores(kQuotaCommit.name, view.rows, &Proposal::confidence);
  const int64_t n_steps = static_cast<int64_t>(steps_ == 0 ? view.budget : steps_) * view.n_span /
                          view.budget;  // of this span
  assert(n_steps >= 1);
  int64_t n = view.n_masked_at_start / n_steps;
  if (view.i_step < view.n_masked_at_start % n_steps) ++n;
  if (confidence_ == Confidence::kRandom) {
    for (float& score : scores) score = static_cast<float>(view.rng->uniform());
  }
  choose_highest(scores, n, chosen);
}

const PolicyEntry kQuotaCommit = {
    .name = "commit/quota",
    .summary = "commit equally many positions every pass, `steps` passes in all",
    .source = "LLaDA, arXiv 2502.09992",
    .when_to_use = "LLaDA's own decoding; a cost known beforehand",
    .when_not = "easy text, where commit/threshold needs fewer passes; spans of varying length",
    .options = {int_option("steps", 0, 0, 65536,
                           "passes for the whole budget, a multiple of its spans; 0: one a "
                           "position"),
                choice_option("confidence", {"low", "random"},
                              "which positions stay masked: those of low confidence, or any")},
    .make = [](const Options& o) -> std::unique_ptr<Policy> {
      return std::make_unique<QuotaCommit>(o.i32("steps"), o.choice("confidence") == "low"
                                                               ? QuotaCommit::Confidence::kLow
                                                               : QuotaCommit::Confidence::kRandom);
    }};

}  // namespace reprise
