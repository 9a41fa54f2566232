#include "policies/commit/top1.h"

#include "policies/commit/chosen_rows.h"

namespace reprise {

void Top1Commit::choose(const CommitView& view, std::vector<int32_t>& chosen) const {
  choose_highest(finite_scores(kTop1Commit.name, view.rows, &Proposal::confidence), 1, chosen);
}

const PolicyEntry kTop1Commit = {
    .name = "commit/top1",
    .summary = "commit the surest position of every pass",
    .source = "LLaDA, arXiv 2502.09992, one token a step",
    .when_to_use = "as the reference that every faster rule is compared with",
    .when_not = "speed matters: it takes one pass a token",
    .options = {},
    .make = [](const Options& /*options*/) -> std::unique_ptr<Policy> {
      return std::make_unique<Top1Commit>();
    }};

}  // namespace reprise
