#include "policies/commit/threshold.h"

#include <algorithm>
#include <limits>

#include "policies/commit/chosen_rows.h"

namespace reprise {

void ThresholdCommit::choose(const CommitView& view, std::vector<int32_t>& chosen) const {
  const std::vector<float> scores =
      finite_scores(kThresholdCommit.name, view.rows, &Proposal::confidence);
  const auto best = std::ranges::max_element(scores) - scores.begin();  // the first among equals
  chosen.clear();
  for (int32_t i = 0; i < static_cast<int32_t>(scores.size()); ++i) {
    if (scores[i] >= tau_ || i == best) chosen.push_back(i);
  }
}

const PolicyEntry kThresholdCommit = {
    .name = "commit/threshold",
    .summary = "commit every position whose confidence reaches tau, and the surest one always",
    .source = "Fast-dLLM, arXiv 2505.22618",
    .when_to_use = "the usual way to fill several positions a pass",
    .when_not = "a model whose confidences are not calibrated: compare with commit/top1 first",
    .options = {positive_option("tau", 0.9, 1,
                                "least confidence; at 1 a saturated softmax still passes, "
                                "commit/top1 is one position a pass")},
    .make = [](const Options& o) -> std::unique_ptr<Policy> {
      // A tau too small for F32 is still no zero, which would commit everything at once.
      const auto tau = static_cast<float>(o.real("tau"));
      return std::make_unique<ThresholdCommit>(std::max(tau, std::numeric_limits<float>::min()));
    }};

}  // namespace reprise
