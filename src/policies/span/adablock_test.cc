#include "policies/span/adablock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "core/error.h"
#include "support/span_cuts.h"

namespace reprise {
namespace {

using ::testing::HasSubstr;

const TokenSet& delimiters() {
  static const TokenSet set(test::kDelimiterVocab, {test::kDelimiter, 3});
  return set;
}

// A delimiter of a test's text; all other places hold another token, surer than any of them.
struct At {
  int32_t i;
  float confidence;
  int32_t token = test::kDelimiter;
};

std::vector<Proposal> text(int32_t n, const std::vector<At>& found) {
  std::vector<Proposal> rows(n, {.token = 2, .confidence = 0.99F});
  for (const At& at : found) rows[at.i] = {.token = at.token, .confidence = at.confidence};
  return rows;
}

SpanPlan plan(std::string_view spec, int32_t budget, int32_t n_done, std::vector<Proposal> rows) {
  const auto policy = make_span_policy(spec);
  const int32_t n_left = budget - n_done;
  const auto planner = policy->begin({.budget = budget, .delimiters = &delimiters()});
  const int32_t n_rows = std::min(planner->reach({.n_done = n_done, .n_left = n_left}), n_left);
  rows.resize(n_rows, {.token = 2, .confidence = 0.99F});
  return planner->plan({.rows = rows, .n_done = n_done, .n_left = n_left});
}

constexpr auto kDelimiterFound = SpanReason::kDelimiter;
constexpr auto kNone = SpanReason::kNoDelimiter;
constexpr auto kLow = SpanReason::kLowConfidence;
const float kBelow = std::nextafter(0.3F, 0.0F);  // the highest F32 below tau_d

// Budget 128, hence a window of 32, unless the row says otherwise.
TEST(AdaBlockSpan, PlansByTable) {
  const struct {
    const char* what;
    const char* spec;
    int32_t budget, n_done;
    std::vector<At> found;
    int32_t n;
    SpanReason reason;
    int32_t i_delimiter;
    float confidence;
  } cases[] = {
      {"no delimiter", "adablock:window=budget", 128, 0, {}, 32, kNone, -1, 0},
      {"one below tau_d", "adablock:window=budget", 128, 0, {{9, kBelow}}, 32, kLow, -1, kBelow},
      {"one at tau_d", "adablock:window=budget", 128, 0, {{9, 0.3F}}, 10, kDelimiterFound, 9, 0.3F},
      {"one above", "adablock:window=budget", 128, 0, {{9, 0.8F}}, 10, kDelimiterFound, 9, 0.8F},
      {"two, the later surer",
       "adablock:window=budget",
       128,
       0,
       {{4, 0.5F}, {9, 0.8F}},
       10,
       kDelimiterFound,
       9,
       0.8F},
      {"two, the earlier surer",
       "adablock:window=budget",
       128,
       0,
       {{4, 0.8F}, {9, 0.5F}},
       5,
       kDelimiterFound,
       4,
       0.8F},
      {"a tie goes to the first",
       "adablock:window=budget",
       128,
       0,
       {{4, 0.5F}, {9, 0.5F, 3}},
       5,
       kDelimiterFound,
       4,
       0.5F},
      {"two below, the surer is told",
       "adablock:window=budget",
       128,
       0,
       {{4, 0.1F}, {9, 0.2F}},
       32,
       kLow,
       -1,
       0.2F},
      {"at the span's start",
       "adablock:window=budget",
       128,
       0,
       {{0, 0.9F}},
       1,
       kDelimiterFound,
       0,
       0.9F},
      {"last of the window",
       "adablock:window=budget",
       128,
       0,
       {{31, 0.9F}},
       32,
       kDelimiterFound,
       31,
       0.9F},
      {"longer than b0",
       "adablock:window=budget,b0=4",
       128,
       0,
       {{31, 0.9F}},
       32,
       kDelimiterFound,
       31,
       0.9F},
      {"behind the window", "adablock:window=budget,b0=4", 124, 0, {{31, 0.9F}}, 4, kNone, -1, 0},
      {"window clipped by the end",
       "adablock:window=budget",
       128,
       118,
       {{9, 0.9F}},
       10,
       kDelimiterFound,
       9,
       0.9F},
      {"b0 clipped by the end", "adablock:window=budget", 128, 118, {}, 10, kNone, -1, 0},
      {"no window", "adablock:window=budget,b0=2", 3, 0, {}, 2, kNone, -1, 0},
      {"a wider window",
       "adablock:window=budget,rho=1",
       128,
       0,
       {{127, 0.9F}},
       128,
       kDelimiterFound,
       127,
       0.9F},
      {"progress: one at the start",
       "adablock:b0=8",
       128,
       0,
       {{0, 0.9F}},
       1,
       kDelimiterFound,
       0,
       0.9F},
      {"progress: no more than one",
       "adablock:window=progress,b0=8",
       128,
       7,
       {{1, 0.9F}},
       8,
       kNone,
       -1,
       0},
      {"progress: a quarter of 40",
       "adablock:window=progress,b0=8",
       128,
       40,
       {{9, 0.9F}},
       10,
       kDelimiterFound,
       9,
       0.9F},
      {"progress: no further",
       "adablock:window=progress,b0=8",
       128,
       40,
       {{10, 0.9F}},
       8,
       kNone,
       -1,
       0},
      {"progress: clipped",
       "adablock:window=progress,b0=8",
       128,
       126,
       {{1, 0.9F}},
       2,
       kDelimiterFound,
       1,
       0.9F},
      {"first_above",
       "adablock:window=budget,pick=first_above",
       128,
       0,
       {{4, 0.2F}, {6, 0.4F}, {9, 0.8F}},
       7,
       kDelimiterFound,
       6,
       0.4F},
      {"first_above, all below",
       "adablock:window=budget,pick=first_above",
       128,
       0,
       {{4, 0.2F}, {6, 0.25F}},
       32,
       kLow,
       -1,
       0.25F},
      {"last_above",
       "adablock:window=budget,pick=last_above",
       128,
       0,
       {{4, 0.8F}, {6, 0.4F}, {9, 0.2F}},
       7,
       kDelimiterFound,
       6,
       0.4F},
      {"last_above, all below",
       "adablock:window=budget,pick=last_above",
       128,
       0,
       {{4, 0.25F}, {6, 0.2F}},
       32,
       kLow,
       -1,
       0.25F},
      {"min passes earlier ones over",
       "adablock:window=budget,min=5",
       128,
       0,
       {{3, 0.9F}, {4, 0.4F}},
       5,
       kDelimiterFound,
       4,
       0.4F},
      {"min leaves none", "adablock:window=budget,min=5", 128, 0, {{3, 0.9F}}, 32, kNone, -1, 0},
      {"min beyond the window",
       "adablock:window=budget,min=65536",
       128,
       0,
       {{3, 0.9F}},
       32,
       kNone,
       -1,
       0},
      {"tau_d=0 takes any",
       "adablock:window=budget,tau_d=0",
       128,
       0,
       {{3, 0.0F}},
       4,
       kDelimiterFound,
       3,
       0},
      {"tau_d=1 takes certainty",
       "adablock:window=budget,tau_d=1",
       128,
       0,
       {{3, 1.0F}},
       4,
       kDelimiterFound,
       3,
       1},
  };
  for (const auto& c : cases) {
    const SpanPlan got = plan(c.spec, c.budget, c.n_done, text(128, c.found));
    EXPECT_EQ(got.n, c.n) << c.what;
    EXPECT_EQ(got.reason, c.reason) << c.what;
    EXPECT_EQ(got.i_delimiter, c.i_delimiter) << c.what;
    EXPECT_EQ(got.confidence, c.confidence) << c.what;
  }
}

TEST(AdaBlockSpan, RefusesConfidencesThatAreNotFinite) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    std::vector<Proposal> rows = text(128, {{4, 0.9F}});
    rows[7].confidence = bad;  // no delimiter, yet the model is broken
    try {
      plan("adablock:window=budget", 128, 40, rows);
      ADD_FAILURE() << bad;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(),
                  HasSubstr("span/adablock: the confidence at position 47 of the answer is "));
    }
    rows[7].confidence = 0.5F;
    rows[32].confidence = bad;  // behind the window
    EXPECT_NO_THROW(plan("adablock:window=budget", 128, 40, rows));
  }
}

int32_t reach(std::string_view spec, int32_t budget, int32_t n_done) {
  return make_span_policy(spec)
      ->begin({.budget = budget, .delimiters = &delimiters()})
      ->reach({.n_done = n_done, .n_left = budget - n_done});
}

TEST(AdaBlockSpan, ReachesAsFarAsItsWindowAndItsFallback) {
  EXPECT_EQ(reach("adablock:window=budget", 512, 0), 128);
  EXPECT_EQ(reach("adablock:window=budget,b0=8", 127, 0), 31);
  EXPECT_EQ(reach("adablock:window=budget", 127, 0), 32);
  EXPECT_EQ(reach("adablock:window=budget,rho=1", 512, 0), 512);
  EXPECT_EQ(reach("adablock:window=progress", 1024, 512), 128);
  EXPECT_EQ(reach("adablock:b0=1", 512, 3), 1);
  EXPECT_EQ(make_span_policy("adablock")->fixed_length(512), 0);
  EXPECT_EQ(reach("adablock", 1024, 512), 128);
}

TEST(AdaBlockSpan, AsksForItsDelimiters) {
  const SpanNeeds needs = make_span_policy("adablock")->needs();
  EXPECT_TRUE(needs.needs_delimiters);
  EXPECT_EQ(needs.delimiters, "newline");
  EXPECT_EQ(needs.earlier_run, SpanNeeds::EarlierRun::kNone);
  EXPECT_EQ(make_span_policy("adablock:delimiters=198+271")->needs().delimiters, "198+271");
}

TEST(AdaBlockSpan, CutsAnyTextToItsEnd) {
  for (uint64_t seed = 0; seed < 500; ++seed) {
    const auto budget = static_cast<int32_t>(1 + seed * 7 % 300);
    const std::vector<Proposal> rows = test::random_text(seed, budget, 1 + seed % 20);
    for (const char* spec :
         {"adablock:window=budget", "adablock:window=budget,b0=5,rho=0.6", "adablock:min=3",
          "adablock:pick=first_above,tau_d=0.9", "adablock:pick=last_above", "wrong_delimiter",
          "first_delimiter:rho=0.9,b0=7"}) {
      const auto policy = make_span_policy(spec);
      const auto plans = test::cut(*policy, {.budget = budget, .delimiters = &delimiters()}, rows);
      const auto n = test::lengths(plans);
      EXPECT_EQ(std::accumulate(n.begin(), n.end(), 0), budget) << spec << " seed " << seed;
      int32_t end = 0;
      for (const SpanPlan& p : plans) {
        end += p.n;
        if (p.reason == SpanReason::kDelimiter) {
          EXPECT_EQ(p.i_delimiter, p.n - 1);
          EXPECT_TRUE(delimiters().has(rows[end - 1].token)) << spec << " seed " << seed;
          EXPECT_EQ(p.confidence, rows[end - 1].confidence);
        } else {
          EXPECT_EQ(p.i_delimiter, -1);
        }
      }
    }
  }
}

TEST(AdaBlockSpan, WithoutAThresholdItIsFixed) {
  for (const char* tau_d : {"inf", "1.01"}) {
    const std::string spec = std::string("adablock:b0=7,tau_d=") + tau_d;
    const auto off = make_span_policy(spec);
    const auto fixed = make_span_policy("fixed:len=7");
    EXPECT_FALSE(off->needs().needs_delimiters);
    for (int32_t budget = 1; budget < 60; ++budget) {
      EXPECT_EQ(off->fixed_length(budget), fixed->fixed_length(budget));
      const auto got = test::cut(*off, {.budget = budget}, {});
      const auto want = test::cut(*fixed, {.budget = budget}, {});
      EXPECT_EQ(test::lengths(got), test::lengths(want)) << spec << " budget " << budget;
      for (const SpanPlan& p : got) EXPECT_EQ(p.reason, SpanReason::kFixed);
    }
  }
}

TEST(AdaBlockSpan, RefusesBadOptions) {
  const std::pair<const char*, const char*> cases[] = {
      {"adablock:b0=0", "1..65536"},
      {"adablock:b0=-4", "1..65536"},
      {"adablock:tau_d=-0.1", "'tau_d' takes a number in 0..inf"},
      {"adablock:tau_d=nan", "'tau_d' takes a number in 0..inf"},
      {"adablock:rho=0", "'rho' takes a number above 0, up to 1"},
      {"adablock:rho=1.01", "above 0, up to 1"},
      {"adablock:rho=nan", "above 0, up to 1"},
      {"adablock:window=all", "'window' takes one of progress, budget"},
      {"adablock:pick=min", "'pick' takes one of max, first_above, last_above"},
      {"adablock:min=0", "1..65536"},
      {"adablock:delimiters=", "the value is missing"},
      {"adablock:delimiters=a\nb", "without control characters"},
      {"adablock:len=4", "no option 'len'"},
  };
  for (const auto& [spec, why] : cases) {
    try {
      make_span_policy(spec);
      ADD_FAILURE() << "accepted " << spec;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(why)) << spec;
    }
  }
}

}  // namespace
}  // namespace reprise
