#include "policies/commit/quota.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "core/error.h"
#include "support/commit_choice.h"

namespace reprise {
namespace {

using ::testing::ElementsAre;

// Positions committed in each pass of a span that starts with n_masked, until none is masked.
std::vector<int32_t> counts(std::string_view spec, int32_t budget, int32_t n_span,
                            int32_t n_masked) {
  const auto policy = make_commit_policy(spec);
  policy->check(budget, n_span);
  std::vector<int32_t> out;
  SplitMix64 rng(1);
  for (int32_t n_left = n_masked; n_left > 0;) {
    const std::vector<Proposal> rows = test::confident(std::vector<float>(n_left, 0.5F));
    const auto got = test::chosen(*policy, {.rows = rows,
                                            .budget = budget,
                                            .n_span = n_span,
                                            .n_masked_at_start = n_masked,
                                            .i_step = static_cast<int32_t>(out.size()),
                                            .rng = &rng});
    out.push_back(static_cast<int32_t>(got.size()));
    if (got.empty()) break;
    n_left -= out.back();
  }
  return out;
}

TEST(QuotaCommit, SharesTheStepsOut) {
  EXPECT_THAT(counts("quota", 12, 4, 4), ElementsAre(1, 1, 1, 1));
  EXPECT_THAT(counts("quota:steps=12", 12, 4, 4), ElementsAre(1, 1, 1, 1));
  EXPECT_THAT(counts("quota:steps=6", 12, 4, 4), ElementsAre(2, 2));
  EXPECT_THAT(counts("quota:steps=3", 12, 4, 4), ElementsAre(4));
  EXPECT_THAT(counts("quota:steps=9", 12, 4, 4), ElementsAre(2, 1, 1));
  EXPECT_THAT(counts("quota:steps=4", 10, 10, 10), ElementsAre(3, 3, 2, 2));
  EXPECT_THAT(counts("quota:steps=3,confidence=random", 10, 10, 10), ElementsAre(4, 3, 3));
  EXPECT_THAT(counts("quota", 3, 3, 3), ElementsAre(1, 1, 1));
  // Of a span that holds given text, or follows some with gaps.
  EXPECT_THAT(counts("quota:steps=4", 10, 10, 3), ElementsAre(1, 1, 1));
  EXPECT_THAT(counts("quota:steps=4", 10, 10, 5), ElementsAre(2, 1, 1, 1));
  EXPECT_THAT(counts("quota:steps=4", 10, 10, 14), ElementsAre(4, 4, 3, 3));
}

TEST(QuotaCommit, FillsEverySpanInItsSteps) {
  for (int32_t n_spans = 1; n_spans <= 4; ++n_spans) {
    for (int32_t n_span = 1; n_span <= 17; ++n_span) {
      for (int32_t steps = n_spans; steps <= n_spans * n_span; steps += n_spans) {
        const auto got =
            counts("quota:steps=" + std::to_string(steps), n_spans * n_span, n_span, n_span);
        EXPECT_EQ(static_cast<int32_t>(got.size()), steps / n_spans);
        EXPECT_EQ(std::accumulate(got.begin(), got.end(), 0), n_span);
      }
    }
  }
}

TEST(QuotaCommit, TakesTheSurest) {
  const std::vector<Proposal> rows = test::confident({0.2F, 0.9F, 0.5F, 0.5F});
  EXPECT_THAT(test::chosen(*make_commit_policy("quota:steps=2"),
                           {.rows = rows, .budget = 4, .n_span = 4, .n_masked_at_start = 4}),
              ElementsAre(1, 2));
}

TEST(QuotaCommit, OrAnyByLot) {
  const std::vector<Proposal> rows = test::confident({0.2F, 0.9F, 0.5F, 0.5F});
  const auto policy = make_commit_policy("quota:confidence=random");
  SplitMix64 rng(3);
  std::vector<int> seen(4);
  for (int i = 0; i < 4000; ++i) {
    const auto got = test::chosen(
        *policy, {.rows = rows, .budget = 4, .n_span = 4, .n_masked_at_start = 4, .rng = &rng});
    ASSERT_EQ(got.size(), 1U);
    ++seen[got[0]];
  }
  // Binomial: 1,000 expected, standard deviation 27; five of them.
  for (const int n : seen) EXPECT_NEAR(n, 1000, 137);
}

TEST(QuotaCommit, RefusesSpansAndStepsThatDoNotDivide) {
  const struct {
    const char* spec;
    int32_t budget, fixed_length;
    const char* why;
  } cases[] = {
      {"quota", 128, 0, "the lengths of the spans are not known beforehand"},
      {"quota", 128, 48, "spans of 48 positions do not divide a budget of 128"},
      {"quota:steps=3", 128, 32,
       "steps=3 do not fit a budget of 128 positions in 4 spans; give a multiple of 4 up to 128"},
      {"quota:steps=6", 128, 32, "steps=6 do not fit"},
      {"quota:steps=132", 128, 32, "steps=132 do not fit"},
      {"quota:steps=129", 128, 128, "give a multiple of 1 up to 128"},
  };
  for (const auto& c : cases) {
    try {
      make_commit_policy(c.spec)->check(c.budget, c.fixed_length);
      ADD_FAILURE() << "accepted " << c.spec << " spans " << c.fixed_length;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), ::testing::StartsWith("commit/quota: "));
      EXPECT_THAT(error.what(), ::testing::HasSubstr(c.why));
    }
  }
  EXPECT_NO_THROW(make_commit_policy("quota")->check(128, 128));
  EXPECT_NO_THROW(make_commit_policy("quota:steps=128")->check(128, 512));  // one span, clipped
  EXPECT_NO_THROW(make_commit_policy("quota:steps=4")->check(128, 32));
}

TEST(QuotaCommit, RefusesBadOptions) {
  for (const char* spec : {"quota:steps=-1", "quota:steps=1.5", "quota:confidence=high"}) {
    EXPECT_THROW(make_commit_policy(spec), Error) << spec;
  }
}

}  // namespace
}  // namespace reprise
