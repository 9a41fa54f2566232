#include "engines/control/pusht_eval.h"

#include <gtest/gtest.h>

#include <cmath>
#include <utility>

#include "core/error.h"
#include "policies/registry.h"

namespace reprise {
namespace {

std::shared_ptr<const PolicyTransformerModel> demo_model() {
  static const auto model =
      PolicyTransformerModel::load(REPRISE_SOURCE_DIR "/models/pusht/pusht-demo.gguf");
  return model;
}

PushtMethod method(const std::string& sampler, const std::string& branch) {
  const SamplerSpec spec = SamplerSpec::parse(sampler, demo_model()->noise);
  const BranchShape shape = {demo_model()->hparams.n_layer, spec.n_steps};
  return {branch, spec, make_branch_policy(branch)->schedule(shape, nullptr)};
}

TEST(ActionRmse, IsThatOfAllValues) {
  const std::vector<std::vector<float>> a = {{1, 2}, {3, 4}};
  const std::vector<std::vector<float>> b = {{1, 4}, {3, 8}};
  EXPECT_DOUBLE_EQ(action_rmse(a, b), std::sqrt((4.0 + 16.0) / 4));
  EXPECT_EQ(action_rmse(a, a), 0);
  EXPECT_THROW(action_rmse(a, std::vector<std::vector<float>>{{1, 2}}), Error);
  EXPECT_THROW(action_rmse(a, std::vector<std::vector<float>>{{1, 2}, {3}}), Error);
}

TEST(EvaluatePusht, ComparesMethodsInPairs) {
  const Backend backend(1);
  const std::vector<PushtMethod> methods = {
      method("ddim:steps=4", "full"), method("ddim:steps=4", "uniform:every=2"),
      method("ddim:steps=4", "uniform:every=1"), method("ddim:steps=2", "full")};
  PushtEvalOptions options;
  options.run = {.first_seed = 11, .n_seeds = 3, .n_max_steps = 24};
  DiffusionPolicy source(demo_model(), backend, methods[0].sampler, methods[0].schedule);
  options.observations = pusht_observations(source, 40, 4, 2);
  int32_t n_told = 0;
  PushtEvalEvents events;
  events.on_result = [&](const PushtMethodResult&) { ++n_told; };
  int64_t n_called = 0;
  events.on_call = [&](int64_t n_done, int64_t n_calls) {
    EXPECT_EQ(n_done, ++n_called);
    EXPECT_EQ(n_calls, 4 * 4 + 4);  // methods, and full once more, by observations
  };
  double noise_rmse = 0;
  events.on_noise_rmse = [&](double rmse) {
    EXPECT_EQ(n_told, 0);  // before the first result
    noise_rmse = rmse;
  };
  const PushtEvaluation found = evaluate_pusht(demo_model(), backend, methods, options, events);
  ASSERT_EQ(found.results.size(), 4U);
  EXPECT_EQ(n_told, 4);
  EXPECT_GT(found.noise_rmse, 0);
  EXPECT_EQ(found.noise_rmse, noise_rmse);
  EXPECT_EQ(n_called, 20);
  const PushtMethodResult& full = found.results[0];
  EXPECT_EQ(full.action_rmse, 0);
  EXPECT_EQ(full.score_over_full.mean, 0);
  EXPECT_EQ(full.evals_per_chunk, 4);
  EXPECT_EQ(full.cache_bytes, 0);
  // 24 kept outputs, and one sum or more.
  const PushtMethodResult& half = found.results[1];
  EXPECT_EQ(half.evals_per_chunk, 2);
  EXPECT_GT(half.action_rmse, 0);
  EXPECT_LT(half.flops_per_chunk, 0.51 * full.flops_per_chunk);
  EXPECT_GE(half.cache_bytes, 25 * 16 * 128 * 4);
  // The same work under another name gives the same numbers.
  const PushtMethodResult& same = found.results[2];
  EXPECT_EQ(same.action_rmse, 0);
  EXPECT_EQ(same.score_over_full.mean, 0);
  EXPECT_EQ(same.score_over_full.standard_error, 0);
  for (int32_t i = 0; i < 3; ++i) EXPECT_EQ(same.episodes[i].score, full.episodes[i].score);
  EXPECT_EQ(found.results[3].evals_per_chunk, 2);
  EXPECT_GT(found.results[3].action_rmse, 0);
}

TEST(EvaluatePusht, IsCancelledBetweenObservations) {
  const Backend backend(1);
  const std::vector<PushtMethod> methods = {method("ddim:steps=2", "full"),
                                            method("ddim:steps=2", "uniform:every=2")};
  PushtEvalOptions options;
  options.run = {.first_seed = 11, .n_seeds = 1, .n_max_steps = 8};
  DiffusionPolicy source(demo_model(), backend, methods[0].sampler, methods[0].schedule);
  options.observations = pusht_observations(source, 40, 3, 1);
  // Calls of an observation are not torn apart; the last three are full's with other noise.
  for (const auto& [n_until, n_wanted] : {std::pair{0, 0}, {1, 2}, {3, 4}, {7, 7}, {8, 8}}) {
    int64_t n_called = 0;
    PushtEvalEvents events;
    events.on_call = [&](int64_t n_done, int64_t /*n_calls*/) { n_called = n_done; };
    events.on_noise_rmse = [](double) { ADD_FAILURE(); };
    events.episodes.is_cancelled = [&, n = n_until] { return n_called >= n; };
    const auto found = evaluate_pusht(demo_model(), backend, methods, options, events);
    EXPECT_TRUE(found.results.empty());
    EXPECT_EQ(n_called, n_wanted);
  }
}

TEST(EvaluatePusht, RefusesNoMethods) {
  const Backend backend(1);
  EXPECT_THROW(evaluate_pusht(demo_model(), backend, {}, {}), Error);
}

}  // namespace
}  // namespace reprise
