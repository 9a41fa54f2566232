#include "policies/kv/pyramid.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"

namespace reprise {
namespace {

using ::testing::ElementsAre;

TEST(PyramidKv, FallsLinearlyByBeta) {
  const std::vector<double> p(5, 1.0);
  // Mean 100, last 100 / beta, first what the sum needs.
  EXPECT_THAT(make_kv_policy("pyramid:beta=4")->split({p, 500, 1000, 5}),
              ElementsAre(175, 138, 100, 62, 25));
  EXPECT_THAT(make_kv_policy("pyramid")->split({p, 500, 1000, 5}),
              ElementsAre(195, 148, 100, 52, 5));
  EXPECT_THAT(make_kv_policy("pyramid:beta=1")->split({p, 500, 1000, 5}),
              ElementsAre(100, 100, 100, 100, 100));
}

TEST(PyramidKv, KnowsTheShapeBeforeTheLastLayer) {
  const std::vector<double> p(2, 1.0);
  EXPECT_THAT(make_kv_policy("pyramid:beta=4")->split({p, 500, 1000, 5}), ElementsAre(175, 138));
}

TEST(PyramidKv, RanksLikeSnapKv) {
  WindowStats stats;
  stats.mean = {3, 0, 6, 0, 1, 8};
  stats.var = {9, 8, 7, 6, 5, 4};
  const KvLayerView layer{.n_candidates = 3, .n_head_kv = 2, .stats = &stats};
  std::vector<float> ours(6);
  std::vector<float> theirs(6);
  make_kv_policy("pyramid")->score(layer, ours);
  make_kv_policy("snapkv")->score(layer, theirs);
  EXPECT_EQ(ours, theirs);
}

TEST(PyramidKv, RefusesABetaBelowOne) { EXPECT_THROW(make_kv_policy("pyramid:beta=0.5"), Error); }

}  // namespace
}  // namespace reprise
