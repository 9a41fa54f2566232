#include "policies/kv/ranking.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "core/error.h"

namespace reprise {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<int32_t> ranked(const std::vector<float>& scores, int32_t n_keep) {
  std::vector<int32_t> order(scores.size(), -1);
  rank_candidates(scores, n_keep, order);
  order.resize(n_keep);
  return order;
}

TEST(Ranking, KeepsTheBestAndBreaksTiesByPosition) {
  EXPECT_THAT(ranked({1, 3, 2}, 2), ElementsAre(1, 2));
  EXPECT_THAT(ranked({1, 3, 2}, 3), ElementsAre(1, 2, 0));
  EXPECT_THAT(ranked({1, 3, 2}, 0), IsEmpty());
  EXPECT_THAT(ranked({}, 0), IsEmpty());
  EXPECT_THAT(ranked({5, 5, 5, 5}, 3), ElementsAre(0, 1, 2));
  EXPECT_THAT(ranked({-0.0F, 0.0F, 1}, 3), ElementsAre(2, 0, 1));
  EXPECT_THAT(ranked({-kInf, kInf, 0, kInf}, 3), ElementsAre(1, 3, 2));
}

// Few distinct values, hence many ties at the border of what is kept.
TEST(Ranking, EqualsAStableSortForEveryKeep) {
  for (uint32_t seed = 0; seed < 20; ++seed) {
    std::mt19937 rng(seed);
    std::vector<float> scores(100);
    for (float& s : scores) s = static_cast<float>(rng() % 12);
    std::vector<int32_t> want(scores.size());
    std::iota(want.begin(), want.end(), 0);
    std::ranges::stable_sort(want, [&](int32_t a, int32_t b) { return scores[a] > scores[b]; });
    for (int32_t n_keep = 0; n_keep <= 100; ++n_keep) {
      const std::vector<int32_t> got = ranked(scores, n_keep);
      EXPECT_TRUE(std::equal(got.begin(), got.end(), want.begin()))
          << "seed " << seed << " n_keep " << n_keep;
    }
  }
}

// Numbers of every sign and size, so that all their bits decide.
TEST(Ranking, SortsByEveryBit) {
  for (uint32_t seed = 0; seed < 5; ++seed) {
    std::mt19937 rng(seed);
    std::vector<float> scores;
    while (scores.size() < 5000) {
      const auto score = std::bit_cast<float>(static_cast<uint32_t>(rng()));
      if (!std::isnan(score)) scores.insert(scores.end(), {score, std::nextafter(score, 0.0F)});
    }
    std::vector<int32_t> want(scores.size());
    std::iota(want.begin(), want.end(), 0);
    std::ranges::stable_sort(want, [&](int32_t a, int32_t b) { return scores[a] > scores[b]; });
    for (const int32_t n_keep : {1, 2, 1000, 4999, 5000}) {
      const std::vector<int32_t> got = ranked(scores, n_keep);
      EXPECT_TRUE(std::equal(got.begin(), got.end(), want.begin()))
          << "seed " << seed << " n_keep " << n_keep;
    }
  }
}

TEST(Ranking, RefusesNanWhereverItStands) {
  for (size_t at = 0; at < 3; ++at) {
    std::vector<float> scores = {3, 2, 1};
    scores[at] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_THROW(ranked(scores, 1), Error) << at;
  }
}

}  // namespace
}  // namespace reprise
