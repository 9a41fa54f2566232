#include "policies/commit/chosen_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "core/error.h"
#include "support/commit_choice.h"

namespace reprise {
namespace {

using ::testing::ElementsAre;

TEST(ChosenRows, AreTheHighestInRisingOrder) {
  const std::vector<float> scores = {0.5F, 0.9F, 0.5F, 0.1F, 0.9F};
  std::vector<int32_t> chosen = {42};
  choose_highest(scores, 0, chosen);
  EXPECT_THAT(chosen, ElementsAre());
  choose_highest(scores, 1, chosen);
  EXPECT_THAT(chosen, ElementsAre(1));
  choose_highest(scores, 3, chosen);
  EXPECT_THAT(chosen, ElementsAre(0, 1, 4));
  choose_highest(scores, 9, chosen);
  EXPECT_THAT(chosen, ElementsAre(0, 1, 2, 3, 4));
  choose_highest({}, 1, chosen);
  EXPECT_THAT(chosen, ElementsAre());
}

// Every commit policy refuses a broken model, whatever it ranks by.
TEST(ChosenRows, EveryPolicyRefusesScoresThatAreNotFinite) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    for (const char* spec : {"threshold", "factor", "top1", "quota", "quota:confidence=random",
                             "dream", "dream:alg=maskgit_plus", "dream:alg=topk_margin",
                             "dream:alg=origin", "dream:alg_temp=1"}) {
      std::vector<Proposal> rows = test::confident({0.5F, 0.9F, 0.5F});
      rows[1] = {.token = 1, .confidence = bad, .margin = bad, .neg_entropy = bad};
      SplitMix64 rng(1);
      const CommitView view{
          .rows = rows, .budget = 3, .n_span = 3, .n_masked_at_start = 3, .rng = &rng};
      try {
        test::chosen(*make_commit_policy(spec), view);
        ADD_FAILURE() << spec << " took " << bad;
      } catch (const Error& error) {
        EXPECT_THAT(error.what(), ::testing::StartsWith("commit/")) << spec;
        EXPECT_THAT(error.what(), ::testing::HasSubstr("the score of masked position 1 of 3 is "))
            << spec;
      }
    }
  }
}

}  // namespace
}  // namespace reprise
