#include "policies/commit/factor.h"

#include <algorithm>
#include <functional>

#include "policies/commit/chosen_rows.h"

namespace reprise {

void FactorCommit::choose(const CommitView& view, std::vector<int32_t>& chosen) const {
  const std::vector<float> scores =
      finite_scores(kFactorCommit.name, view.rows, &Proposal::confidence);
  std::vector<float> falling = scores;
  std::ranges::sort(falling, std::greater<>());
  size_t n = 0;
  // F64 holds 1 - c of an F32 probability without rounding unless c is below 2^-30.
  while (n < falling.size() &&
         static_cast<double>(n + 2) * (1 - static_cast<double>(falling[n])) < f_) {
    ++n;
  }
  choose_highest(scores, std::max<size_t>(n, 1), chosen);
}

const PolicyEntry kFactorCommit = {
    .name = "commit/factor",
    .summary = "commit the n surest positions while (n + 1) (1 - confidence) stays below f",
    .source = "Fast-dLLM, arXiv 2505.22618, theorem 1",
    .when_to_use = "instead of a fixed threshold: it asks more of each position the more there are",
    .when_not = "a model whose confidences are not calibrated: compare with commit/top1 first",
    .options = {real_option("f", 1, 0.001, 1000,
                            "bound; 1 is where the parallel choice provably equals the sequential "
                            "one")},
    .make = [](const Options& o) -> std::unique_ptr<Policy> {
      return std::make_unique<FactorCommit>(o.real("f"));
    }};

}  // namespace reprise
