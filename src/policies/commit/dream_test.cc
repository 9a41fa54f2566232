#include "policies/commit/dream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>

#include "core/error.h"
#include "support/commit_choice.h"

namespace reprise {
namespace {

using ::testing::ElementsAre;

// Positions committed in each pass over a text of `budget` positions.
std::vector<int32_t> counts(std::string_view spec, int32_t budget, int32_t n_steps) {
  const auto policy = make_commit_policy(spec);
  std::vector<int32_t> out;
  int32_t n_left = budget;
  for (int32_t i_step = 0; i_step < n_steps && n_left > 0; ++i_step) {
    const std::vector<Proposal> rows = test::confident(std::vector<float>(n_left, 0.5F));
    const auto got = test::chosen(*policy, {.rows = rows,
                                            .budget = budget,
                                            .n_span = budget,
                                            .n_masked_at_start = budget,
                                            .i_step = i_step});
    out.push_back(static_cast<int32_t>(got.size()));
    n_left -= out.back();
  }
  EXPECT_EQ(n_left, 0) << spec << " budget " << budget;
  return out;
}

TEST(DreamCommit, RoundsItsScheduleDown) {
  // 4 * 0.999 / 4 = 0.999; 4 * 0.999 / 3.001 = 1.33; 3 * 0.999 / 2.002 = 1.497; the rest.
  EXPECT_THAT(counts("dream", 4, 4), ElementsAre(0, 1, 1, 2));
  EXPECT_THAT(counts("dream:steps=2", 4, 2), ElementsAre(1, 3));
  EXPECT_THAT(counts("dream:steps=1", 4, 1), ElementsAre(4));
  EXPECT_THAT(counts("dream:eps=0", 4, 4), ElementsAre(1, 1, 1, 1));
  EXPECT_THAT(counts("dream:eps=0,steps=2", 4, 2), ElementsAre(2, 2));
  // 4 * 0.5 / 4 = 0.5; 4 * 0.5 / 3.5 = 0.57; 4 * 0.5 / 3 = 0.67; the rest.
  EXPECT_THAT(counts("dream:eps=0.5", 4, 4), ElementsAre(0, 0, 0, 4));
  EXPECT_THAT(counts("dream:steps=8", 2, 8), ElementsAre(0, 0, 0, 0, 0, 0, 0, 2));
}

// The schedule in the words of the paper: tau falls in equal steps, n = int(masked * (1 - ratio)).
TEST(DreamCommit, EqualsTheScheduleAsPublished) {
  const double eps = 0.001;
  for (int32_t budget = 1; budget <= 256; budget += budget < 16 ? 1 : 15) {
    for (const int32_t n_steps : {budget, (budget + 1) / 2, 2 * budget, 7}) {
      std::vector<int32_t> want;
      int32_t n_left = budget;
      for (int32_t k = 0; k < n_steps && n_left > 0; ++k) {
        const double t = 1 - k * (1 - eps) / n_steps;
        const double s = 1 - (k + 1) * (1 - eps) / n_steps;
        const int32_t n = k < n_steps - 1 ? static_cast<int32_t>(n_left * (1 - s / t)) : n_left;
        want.push_back(n);
        n_left -= n;
      }
      EXPECT_EQ(counts("dream:steps=" + std::to_string(n_steps), budget, n_steps), want)
          << "budget " << budget << " steps " << n_steps;
    }
  }
}

TEST(DreamCommit, RanksByTheChosenScore) {
  // Each row leads in one score.
  const std::vector<Proposal> rows = {
      {.token = 1, .confidence = 0.5F, .margin = 0.1F, .neg_entropy = -0.7F},
      {.token = 1, .confidence = 0.6F, .margin = 0.2F, .neg_entropy = -2.0F},
      {.token = 1, .confidence = 0.4F, .margin = 0.3F, .neg_entropy = -1.5F},
      {.token = 1, .confidence = 0.4F, .margin = 0.3F, .neg_entropy = -0.7F}};
  const std::pair<const char*, int32_t> cases[] = {{"dream:eps=0", 0},
                                                   {"dream:eps=0,alg=entropy", 0},
                                                   {"dream:eps=0,alg=maskgit_plus", 1},
                                                   {"dream:eps=0,alg=topk_margin", 2}};
  for (const auto& [spec, want] : cases) {
    EXPECT_THAT(test::chosen(*make_commit_policy(spec),
                             {.rows = rows, .budget = 4, .n_span = 4, .n_masked_at_start = 4}),
                ElementsAre(want))
        << spec;
  }
}

TEST(DreamCommit, DrawsByTheSoftmaxWithoutReplacement) {
  constexpr int kDraws = 20000;
  const std::vector<float> scores = {0.2F, 0.5F, 0.8F, 0.3F};
  const std::vector<Proposal> rows = test::confident(scores);
  const auto policy = make_commit_policy("dream:alg=maskgit_plus,alg_temp=0.5,eps=0,steps=4");
  SplitMix64 rng(11);
  const auto seen_in_pass = [&](int32_t i_step) {
    std::map<std::vector<int32_t>, int> seen;
    for (int i = 0; i < kDraws; ++i) {
      ++seen[test::chosen(*policy, {.rows = rows,
                                    .budget = 4,
                                    .n_span = 4,
                                    .n_masked_at_start = 4,
                                    .i_step = i_step,
                                    .rng = &rng})];
    }
    return seen;
  };
  std::vector<double> w;
  double sum = 0;
  for (const float score : scores) sum += w.emplace_back(std::exp(score / 0.5));
  // Binomial, five standard deviations.
  const auto near = [](double p) {
    return std::pair(kDraws * p, 5 * std::sqrt(kDraws * p * (1 - p)));
  };
  std::map<std::vector<int32_t>, int> one = seen_in_pass(0);  // 4 / 4 positions
  std::map<std::vector<int32_t>, int> two = seen_in_pass(2);  // 4 / 2
  EXPECT_EQ(one.size(), 4U);
  EXPECT_EQ(two.size(), 6U);
  for (int32_t i = 0; i < 4; ++i) {
    const auto [want, tolerance] = near(w[i] / sum);
    EXPECT_NEAR(one[{i}], want, tolerance) << i;
    for (int32_t j = i + 1; j < 4; ++j) {
      const auto [want_two, tolerance_two] =
          near(w[i] / sum * w[j] / (sum - w[i]) + w[j] / sum * w[i] / (sum - w[j]));
      EXPECT_NEAR((two[{i, j}]), want_two, tolerance_two) << i << " and " << j;
    }
  }
}

TEST(DreamCommit, OriginCommitsEachByLot) {
  constexpr int32_t kRows = 1000;
  const std::vector<Proposal> rows = test::confident(std::vector<float>(kRows, 0.5F));
  const auto policy = make_commit_policy("dream:alg=origin,steps=4");
  for (const int32_t i_step : {0, 1, 2, 3}) {
    SplitMix64 rng(5);
    const auto got = test::chosen(*policy, {.rows = rows,
                                            .budget = kRows,
                                            .n_span = kRows,
                                            .n_masked_at_start = kRows,
                                            .i_step = i_step,
                                            .rng = &rng});
    const double p = i_step == 3 ? 1 : 0.999 / (4 - i_step * 0.999);
    EXPECT_NEAR(static_cast<double>(got.size()), kRows * p, 5 * std::sqrt(kRows * p * (1 - p)))
        << i_step;
    EXPECT_TRUE(std::ranges::is_sorted(got));
  }
  // A pass may commit none.
  SplitMix64 rng(5);
  const std::vector<Proposal> few = test::confident({0.9F});
  int n_none = 0;
  for (int i = 0; i < 100; ++i) {
    n_none += test::chosen(*policy, {.rows = few, .budget = 4, .n_span = 4, .rng = &rng}).empty();
  }
  EXPECT_GT(n_none, 0);
}

TEST(DreamCommit, RefusesSpans) {
  for (const char* spec : {"dream", "dream:alg=origin"}) {
    const auto policy = make_commit_policy(spec);
    EXPECT_NO_THROW(policy->check(128, 128));
    EXPECT_NO_THROW(policy->check(128, 512));
    for (const int32_t fixed_length : {0, 1, 32, 127}) {
      try {
        policy->check(128, fixed_length);
        ADD_FAILURE() << fixed_length;
      } catch (const Error& error) {
        EXPECT_THAT(error.what(), ::testing::StartsWith("commit/dream: its schedule runs over the "
                                                        "whole text of 128 positions"));
      }
    }
  }
}

TEST(DreamCommit, RefusesBadOptions) {
  const std::pair<const char*, const char*> cases[] = {
      {"dream:alg=confidence", "'alg' takes one of entropy, maskgit_plus, topk_margin, origin"},
      {"dream:steps=-1", "0..65536"},
      {"dream:eps=1", "0..0.999"},
      {"dream:eps=nan", "0..0.999"},
      {"dream:alg_temp=-1", "0..100"},
      {"dream:alg_temp=inf", "0..100"},
      {"dream:alg=origin,alg_temp=0.5", "so alg_temp=0.5 changes nothing; leave one of them out"},
  };
  for (const auto& [spec, why] : cases) {
    try {
      make_commit_policy(spec);
      ADD_FAILURE() << "accepted " << spec;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr(why)) << spec;
    }
  }
}

}  // namespace
}  // namespace reprise
