#include "policies/branch/branch_policy.h"

#include <fmt/format.h>

#include "core/did_you_mean.h"
#include "core/error.h"

namespace reprise {

std::string_view to_string(BranchMetric metric) {
  switch (metric) {
    case BranchMetric::kCosine:
      return "cosine";
    case BranchMetric::kL1:
      return "l1";
    case BranchMetric::kMse:
      return "mse";
    case BranchMetric::kL2:
      break;
  }
  return "l2";
}

BranchMetric parse_branch_metric(std::string_view name) {
  std::vector<std::string_view> known;
  for (const BranchMetric metric : kBranchMetrics) {
    if (to_string(metric) == name) return metric;
    known.push_back(to_string(metric));
  }
  throw Error(fmt::format("no metric '{}'{} there are cosine, l1, mse and l2", name,
                          did_you_mean(name, known)));
}

}  // namespace reprise
