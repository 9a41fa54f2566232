#include "policies/kv/victim.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "core/error.h"
#include "policies/kv/pooling.h"

namespace reprise {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatEq;
using ::testing::IsEmpty;

struct Step {
  std::vector<float> attention;
  int32_t n_slots = 0;
  std::vector<int32_t> candidates;
  std::vector<float> sums;

  DecodeView view() const {
    return {.attention = attention,
            .n_slots = n_slots,
            .n_group = static_cast<int32_t>(attention.size()) / n_slots,
            .candidates = candidates};
  }
  std::vector<int32_t> victims(KvDecode mode, size_t n) const {
    std::vector<float> scratch(victim_scratch(n_slots));
    std::vector<int32_t> out(n, -1);
    choose_victims(mode, view(), sums, scratch, out);
    return out;
  }
};

// Slots 1 and 5 are the window; two query heads share the KV head.
const Step kStep = {.attention = {.3F, .0F, .1F, .0F, .1F, .0F, .2F, .3F,   // head 0
                                  .1F, .0F, .1F, .2F, .0F, .0F, .2F, .4F},  // head 1
                    .n_slots = 8,
                    .candidates = {0, 2, 3, 4, 6, 7},
                    .sums = {.9F, 0, .8F, .7F, .6F, 0, .1F, .2F}};

TEST(Victim, TovaDropsTheLowestMeanOfTheGroup) {
  EXPECT_THAT(kStep.victims(KvDecode::kTova, 1), ElementsAre(4));
  // Slots 2 and 3 tie at 0.1: the earlier goes first. The window is never named.
  EXPECT_THAT(kStep.victims(KvDecode::kTova, 3), ElementsAre(4, 2, 3));
  EXPECT_THAT(kStep.victims(KvDecode::kTova, 0), IsEmpty());
}

TEST(Victim, CakePoolsOverNeighboursInTheGivenOrder) {
  // Means .2 .1 .1 .05 .2 .35; five-wide sums .4 .45 .65 .8 .7 .6.
  EXPECT_THAT(kStep.victims(KvDecode::kCake, 2), ElementsAre(0, 2));
  Step ranked = kStep;
  ranked.candidates = {7, 0, 6, 2, 3, 4};  // .35 .2 .2 .1 .1 .05: sums .75 .85 .95 .65 .45 .25
  EXPECT_THAT(ranked.victims(KvDecode::kCakeOfficial, 2), ElementsAre(4, 3));
}

TEST(Victim, EmaReadsTheSumsAlone) {
  EXPECT_THAT(kStep.victims(KvDecode::kEma, 2), ElementsAre(6, 7));
}

TEST(Victim, AddAttentionDecaysWhatWas) {
  std::vector<float> sums = {1, 0, 0, 0, 0, 0, 0, 2};
  std::vector<float> scratch(victim_scratch(8));
  add_attention(kStep.view(), scratch, sums);
  EXPECT_THAT(sums, ElementsAre(FloatEq(1.18F), 0, FloatEq(.1F), FloatEq(.1F), FloatEq(.05F), 0,
                                FloatEq(.2F), FloatEq(2.31F)));
}

// A candidate that got attention long ago outlives one that gets a little now.
TEST(Victim, EmaRemembers) {
  Step step = {.attention = {1, 0}, .n_slots = 2, .candidates = {0, 1}, .sums = {0, 0}};
  std::vector<float> scratch(victim_scratch(2));
  add_attention(step.view(), scratch, step.sums);
  step.attention = {.4F, .6F};
  add_attention(step.view(), scratch, step.sums);
  EXPECT_THAT(step.victims(KvDecode::kTova, 1), ElementsAre(0));
  EXPECT_THAT(step.victims(KvDecode::kEma, 1), ElementsAre(1));
}

TEST(Victim, DropsEverybodyWhenAsked) {
  EXPECT_THAT(kStep.victims(KvDecode::kTova, 6), ElementsAre(4, 2, 3, 0, 6, 7));
}

// The plain rule, for numbers of candidates around the blocks that values are taken in. Attention
// of small integers in four heads: every sum is exact, and many tie.
TEST(Victim, EqualsAStableSort) {
  const int32_t sizes[] = {1, 2, 3, 5, 40, 63, 64, 66, 67, 130, 300};
  for (uint32_t seed = 0; seed < 55; ++seed) {
    std::mt19937 rng(seed);
    Step step;
    step.n_slots = sizes[seed % std::size(sizes)];
    for (int i = 0; i < 4 * step.n_slots; ++i) {
      step.attention.push_back(static_cast<float>(rng() % 4));
    }
    for (int32_t slot = 0; slot < step.n_slots; ++slot) {
      if (slot == 0 || rng() % 4 != 0) step.candidates.push_back(slot);
    }
    std::ranges::shuffle(step.candidates, rng);
    const size_t n = step.candidates.size();
    std::vector<float> mean(n);
    for (size_t i = 0; i < n; ++i) {
      for (int h = 0; h < 4; ++h)
        mean[i] += step.attention[h * step.n_slots + step.candidates[i]] / 4;
    }
    std::vector<float> pooled(n);
    pool_average([&](size_t i) { return mean[i]; }, kDecodePool, pooled);
    for (const auto& ranking :
         {std::pair(KvDecode::kTova, &mean), std::pair(KvDecode::kCake, &pooled)}) {
      const KvDecode mode = ranking.first;
      const std::vector<float>& scores = *ranking.second;
      std::vector<size_t> want(n);
      for (size_t i = 0; i < n; ++i) want[i] = i;
      std::ranges::stable_sort(want, [&](size_t a, size_t b) { return scores[a] < scores[b]; });
      for (size_t n_drop = 0; n_drop <= n; n_drop += n_drop < 3 ? 1 : n / 2) {
        const std::vector<int32_t> got = step.victims(mode, n_drop);
        for (size_t i = 0; i < n_drop; ++i) {
          EXPECT_EQ(got[i], step.candidates[want[i]]) << "seed " << seed << " n " << n_drop;
        }
      }
    }
  }
}

TEST(Victim, RefusesNan) {
  Step step = kStep;
  step.attention[8 + 3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(step.victims(KvDecode::kTova, 1), Error);
  EXPECT_THROW(step.victims(KvDecode::kCake, 1), Error);
  step = kStep;
  step.sums[7] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(step.victims(KvDecode::kEma, 1), Error);
}

}  // namespace
}  // namespace reprise
