#include "policies/branch/branch_policy.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace reprise {
namespace {

TEST(BranchMetric, NamesAreReadBack) {
  for (const BranchMetric metric : kBranchMetrics) {
    EXPECT_EQ(parse_branch_metric(to_string(metric)), metric);
    EXPECT_EQ(is_distance(metric), metric != BranchMetric::kCosine);
  }
}

TEST(BranchMetric, RefusesAnUnknownName) {
  try {
    parse_branch_metric("cosin");
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(),
                 "no metric 'cosin', did you mean 'cosine'? there are cosine, l1, mse and l2");
  }
}

}  // namespace
}  // namespace reprise
