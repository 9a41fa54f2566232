#include "engines/control/pusht_episode.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "engines/control/action_noise.h"
#include "engines/pusht/legacy_reset.h"
#include "engines/pusht/observation.h"

namespace reprise {
namespace {

std::shared_ptr<const PolicyTransformerModel> demo_model() {
  static const auto model =
      PolicyTransformerModel::load(REPRISE_SOURCE_DIR "/models/pusht/pusht-demo.gguf");
  return model;
}

// Two steps: what is tested here does not depend on how good the actions are.
DiffusionPolicy quick_policy(const Backend& backend) {
  const SamplerSpec sampler = SamplerSpec::parse("ddim:steps=2", demo_model()->noise);
  const PolicyHparams& hp = demo_model()->hparams;
  return {demo_model(), backend, sampler, {{.n_layers = hp.n_layer, .n_steps = 2}, true}};
}

void expect_equal(const PushtEpisode& a, const PushtEpisode& b) {
  EXPECT_EQ(a.seed, b.seed);
  EXPECT_EQ(a.score, b.score);
  EXPECT_EQ(a.is_solved, b.is_solved);
  EXPECT_EQ(a.n_steps, b.n_steps);
  EXPECT_EQ(a.n_chunks, b.n_chunks);
}

TEST(RunPusht, GivesAnEpisodeTheSameInAnyBatch) {
  const Backend backend(1);
  DiffusionPolicy policy = quick_policy(backend);
  PushtRunOptions options = {.first_seed = 7, .n_seeds = 5, .n_max_steps = 44};
  const auto together = run_pusht(policy, options);
  options.n_batch = 2;
  const auto in_pairs = run_pusht(policy, options);
  ASSERT_EQ(together.size(), 5U);
  for (int32_t i = 0; i < 5; ++i) {
    EXPECT_EQ(together[i].seed, 7U + i);
    EXPECT_EQ(together[i].n_steps, 44);  // unless solved, which two steps do not
    EXPECT_EQ(together[i].n_chunks, 6);  // of 8 actions, 4 of the last
    expect_equal(together[i], in_pairs[i]);
    const auto alone = run_pusht(policy, {.first_seed = 7U + i, .n_seeds = 1, .n_max_steps = 44});
    expect_equal(together[i], alone[0]);
  }
}

// The recorded observations against a world that is driven by hand.
TEST(RunPusht, ShowsThePolicyTheLastTwoObservations) {
  const Backend backend(1);
  DiffusionPolicy policy = quick_policy(backend);
  std::vector<std::vector<float>> shown;
  PushtEvents events;
  events.on_chunk = [&](const PushtEpisode&, std::span<const float> obs) {
    shown.emplace_back(obs.begin(), obs.end());
  };
  run_pusht(policy, {.first_seed = 3, .n_seeds = 1, .n_max_steps = 16}, events);
  ASSERT_EQ(shown.size(), 2U);
  PushtWorld world(legacy_state(3));
  const auto first = observation(world.state());
  std::vector<float> want(first.begin(), first.end());
  want.insert(want.end(), first.begin(), first.end());
  EXPECT_EQ(shown[0], want);
  DiffusionPolicy again = quick_policy(backend);
  const ActionChunk chunk = again.act({.obs = want, .seed = seed_of(3, 0)});
  const auto actions = again.executed(chunk);
  want.clear();
  for (size_t i = 0; i < actions.size(); i += 2) {
    world.control({actions[i], actions[i + 1]});
    const auto seen = observation(world.state());
    if (i + 4 >= actions.size()) want.insert(want.end(), seen.begin(), seen.end());
  }
  EXPECT_EQ(shown[1], want);
}

TEST(RunPusht, StopsWhenItIsCancelled) {
  const Backend backend(1);
  DiffusionPolicy policy = quick_policy(backend);
  int32_t n_rounds = 0;
  PushtEvents events;
  events.is_cancelled = [&] { return n_rounds++ == 2; };
  const auto episodes = run_pusht(policy, {.first_seed = 3, .n_seeds = 3, .n_batch = 2}, events);
  ASSERT_EQ(episodes.size(), 2U);  // of the first batch
  EXPECT_EQ(episodes[0].n_chunks, 2);
}

TEST(RunPusht, RefusesAPolicyOfAnotherTask) {
  const Backend backend(1);
  const auto tiny = PolicyTransformerModel::load(REPRISE_SOURCE_DIR
                                                 "/tests/golden/control/policy-tiny.safetensors");
  DiffusionPolicy policy(tiny, backend, SamplerSpec::parse("ddim:steps=2", tiny->noise),
                         {{.n_layers = 2, .n_steps = 2}, true});
  EXPECT_THROW(run_pusht(policy, {}), Error);
  DiffusionPolicy fitting = quick_policy(backend);
  EXPECT_THROW(run_pusht(fitting, {.n_seeds = 0}), Error);
}

TEST(PushtObservations, AreSpreadOverTheEpisodes) {
  const Backend backend(1);
  DiffusionPolicy policy = quick_policy(backend);
  const auto found = pusht_observations(policy, 20, 6, 3);
  ASSERT_EQ(found.size(), 6U);
  for (int32_t i = 0; i < 6; ++i) {
    ASSERT_EQ(found[i].size(), 36U);
    const auto first = observation(PushtWorld(legacy_state(20 + i)).state());
    // After no chunk, the two observations are that of the beginning.
    EXPECT_EQ(std::equal(first.begin(), first.end(), found[i].begin()), i % 3 == 0) << i;
  }
}

}  // namespace
}  // namespace reprise
