#include "policies/kv/cake.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "core/error.h"
#include "policies/kv/ranking.h"
#include "policies/kv/victim.h"
#include "support/cake_example.h"

namespace reprise {
namespace {

using cake_example::kLayers;
using cake_example::kShape;
using ::testing::ElementsAre;

constexpr int32_t kCandidates = 32;  // of the worked example, S - w
constexpr int64_t kTotal = 24;       // (C - w) * L

// The worked example carried through a policy.
struct Example {
  explicit Example(std::string_view spec) : policy(make_kv_policy(spec)) {
    for (int il = 0; il < kLayers; ++il) {
      stats[il] = cake_example::stats(il);
      const KvLayerView layer = view(il);
      preference.push_back(policy->preference(layer));
      scores[il].resize(stats[il].mean.size());
      policy->score(layer, scores[il]);
    }
  }
  KvLayerView view(int il) const {
    return {
        .il = il, .n_candidates = kCandidates, .n_head_kv = kShape.n_head_kv, .stats = &stats[il]};
  }
  std::vector<int32_t> split(size_t n_known) const {
    return policy->split({std::span(preference).first(n_known), kTotal, kCandidates, kLayers});
  }
  // Kept candidates of one KV head, best first.
  std::vector<int32_t> kept(int il, int g, int32_t n_keep) const {
    std::vector<int32_t> order(kCandidates);
    rank_candidates(
        std::span(scores[il]).subspan(static_cast<size_t>(g) * kCandidates, kCandidates), n_keep,
        order);
    order.resize(n_keep);
    return order;
  }

  std::unique_ptr<KvPolicy> policy;
  WindowStats stats[kLayers];
  std::vector<double> preference;
  std::vector<float> scores[kLayers];
};

// Budgets come from the test; 1024 only has to pass the checks.
constexpr const char* kOfficial = "cake:window=8,tau2=0.8,split=official";
constexpr const char* kWaterfill = "cake:window=8,tau2=0.8";

std::vector<int32_t> sorted(std::vector<int32_t> v) {
  std::ranges::sort(v);
  return v;
}

// First..last, both included.
std::vector<int32_t> range(int32_t first, int32_t last) {
  std::vector<int32_t> out(last - first + 1);
  std::iota(out.begin(), out.end(), first);
  return out;
}

std::vector<int32_t> joined(std::vector<int32_t> a, const std::vector<int32_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST(CakeGolden, PreferenceAndScores) {
  const double preference[] = {0.10070726, 3.43640344, 10.77536305};
  const double scores[kLayers][2][4] = {
      {{.018094, .023574, .028798, .027485}, {.024966, .032845, .040487, .039368}},
      {{.077511, .099117, .117193, .103348}, {.214581, .287208, .355239, .349268}},
      {{.218618, .293115, .369100, .353887}, {.617168, .855952, 1.091012, 1.133895}}};
  const Example example(kOfficial);
  for (int il = 0; il < kLayers; ++il) {
    // H and V agree within 1e-5 (see window_stats_test), V counts with the power 1.25.
    EXPECT_NEAR(example.preference[il], preference[il], 2.3e-5 * preference[il]) << "layer " << il;
    for (int g = 0; g < 2; ++g) {
      for (int n = 0; n < 4; ++n) {
        // Mean and variance within 1e-5 too; the table has six decimals.
        const double want = scores[il][g][n];
        EXPECT_NEAR(example.scores[il][g * kCandidates + n], want, 1e-5 * want + 5e-7)
            << "layer " << il << " KV head " << g << " token " << n;
      }
    }
  }
}

TEST(CakeGolden, StagesOfBothSplits) {
  const Example official(kOfficial);
  EXPECT_THAT(official.split(1), ElementsAre(24));
  EXPECT_THAT(official.split(2), ElementsAre(1, 23));
  EXPECT_THAT(official.split(3), ElementsAre(1, 5, 18));
  const Example waterfill(kWaterfill);
  EXPECT_THAT(waterfill.split(1), ElementsAre(24));
  EXPECT_THAT(waterfill.split(2), ElementsAre(1, 23));
  EXPECT_THAT(waterfill.split(3), ElementsAre(0, 6, 18));
}

TEST(CakeGolden, KeptSets) {
  const Example example(kOfficial);
  const std::vector<int32_t> b = example.split(kLayers);
  EXPECT_EQ(example.kept(0, 0, b[0]), range(26, 26));
  EXPECT_EQ(example.kept(0, 1, b[0]), range(29, 29));
  EXPECT_EQ(sorted(example.kept(1, 0, b[1])), range(26, 30));
  EXPECT_EQ(sorted(example.kept(1, 1, b[1])), range(1, 5));
  EXPECT_EQ(sorted(example.kept(2, 0, b[2])), joined(range(1, 5), range(19, 31)));
  EXPECT_EQ(sorted(example.kept(2, 1, b[2])), joined(range(0, 15), {29, 30}));
}

// The position that the first decoded token (position 40) pushes out of one KV head.
int32_t dropped(const Example& example, KvDecode mode, int il, int g, int32_t n_keep) {
  std::vector<int32_t> positions = example.kept(il, g, n_keep);
  positions.push_back(kCandidates);  // has just left the window
  if (mode == KvDecode::kCake) std::ranges::sort(positions);
  const size_t n_candidates = positions.size();
  for (int32_t pos = kCandidates + 1; pos <= kShape.n_kv; ++pos) positions.push_back(pos);

  const int n_group = kShape.n_head / kShape.n_head_kv;
  std::vector<float> attention;
  for (int h = g * n_group; h < (g + 1) * n_group; ++h) {
    std::vector<double> a;
    for (const int32_t pos : positions) {
      double dot = 0;
      for (int x = 0; x < kShape.n_embd_head; ++x) {
        dot += cake_example::q(il, h, kShape.n_kv, x) * cake_example::k(il, g, pos, x);
      }
      a.push_back(std::exp(dot / std::sqrt(kShape.n_embd_head)));
    }
    const double sum = std::accumulate(a.begin(), a.end(), 0.0);
    for (const double x : a) attention.push_back(static_cast<float>(x / sum));
  }
  std::vector<int32_t> slots(n_candidates);
  std::iota(slots.begin(), slots.end(), 0);
  std::vector<float> scratch(victim_scratch(positions.size()));
  int32_t victim = -1;
  choose_victims(mode,
                 {.attention = attention,
                  .n_slots = static_cast<int32_t>(positions.size()),
                  .n_group = n_group,
                  .candidates = slots},
                 {}, scratch, std::span(&victim, 1));
  return positions[victim];
}

TEST(CakeGolden, FirstDecodeStep) {
  const struct {
    KvDecode mode;
    std::vector<int32_t> want;  // (layer, KV head) in order
  } cases[] = {
      {KvDecode::kCakeOfficial, {26, 29, 29, 32, 23, 4}},
      {KvDecode::kCake, {26, 29, 26, 1, 21, 32}},
      {KvDecode::kTova, {26, 29, 26, 32, 21, 32}},
  };
  const Example example(kOfficial);
  const std::vector<int32_t> b = example.split(kLayers);
  for (const auto& c : cases) {
    std::vector<int32_t> got;
    for (int il = 0; il < kLayers; ++il) {
      for (int g = 0; g < 2; ++g) got.push_back(dropped(example, c.mode, il, g, b[il]));
    }
    EXPECT_EQ(got, c.want) << "mode " << static_cast<int>(c.mode);
  }
}

// Layers of random scores and preferences, as a prefill would hand them over.
struct RandomPrompt {
  explicit RandomPrompt(uint32_t seed) {
    std::mt19937 rng(seed);
    n_layer = 2 + static_cast<int32_t>(rng() % 30);
    cap = 20 + static_cast<int32_t>(rng() % 300);
    n_total = static_cast<int64_t>(n_layer) * (1 + static_cast<int32_t>(rng() % (cap + 20)));
    std::lognormal_distribution<double> draw(0, 1.25);
    for (int32_t il = 0; il < n_layer; ++il) {
      preference.push_back(draw(rng));
      scores.emplace_back(cap);
      for (float& s : scores.back()) s = static_cast<float>(rng() % 64);  // ties abound
    }
  }
  std::vector<int32_t> ranked(int32_t il, int32_t n_keep) const {
    std::vector<int32_t> order(cap);
    rank_candidates(scores[il], n_keep, order);
    order.resize(n_keep);
    return order;
  }
  SplitInput known(size_t m) const {
    return {std::span(preference).first(m), n_total, cap, n_layer};
  }

  int32_t n_layer = 0;
  int32_t cap = 0;
  int64_t n_total = 0;
  std::vector<double> preference;
  std::vector<std::vector<float>> scores;
};

TEST(CakeProperty, CascadeEqualsOneEviction) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    const RandomPrompt prompt(seed);
    const auto policy = make_kv_policy("cake");
    std::vector<std::vector<int32_t>> held;
    for (int32_t il = 0; il < prompt.n_layer; ++il) {
      held.push_back(prompt.ranked(il, prompt.cap));
      const std::vector<int32_t> b = policy->split(prompt.known(il + 1));
      for (int32_t l = 0; l <= il; ++l) {
        held[l].resize(std::min<size_t>(held[l].size(), b[l]));
      }
    }
    const std::vector<int32_t> last = policy->split(prompt.known(prompt.n_layer));
    for (int32_t l = 0; l < prompt.n_layer; ++l) {
      EXPECT_EQ(held[l], prompt.ranked(l, last[l])) << "seed " << seed << " layer " << l;
    }
  }
}

TEST(CakeProperty, BudgetsSumToTheWholeWithEverySplitButTheOfficial) {
  for (const char* split : {"waterfill", "uniform", "pyramid"}) {
    for (const char* rest : {"", ",min=5", ",sink=4"}) {
      const auto policy = make_kv_policy(std::string("cake:split=") + split + rest);
      for (uint32_t seed = 0; seed < 100; ++seed) {
        const RandomPrompt prompt(seed);
        const std::vector<int32_t> b = policy->split(prompt.known(prompt.n_layer));
        EXPECT_EQ(
            std::accumulate(b.begin(), b.end(), int64_t{0}),
            std::min<int64_t>(prompt.n_total, static_cast<int64_t>(prompt.n_layer) * prompt.cap))
            << split << rest << " seed " << seed;
      }
    }
  }
}

TEST(CakeProperty, WithoutGammaAndWithEqualPreferenceItIsSnapKv) {
  const Example snapkv("snapkv:window=8");
  const Example cake("cake:window=8,gamma=0");
  const Example uniform("cake:window=8,gamma=0,split=uniform");
  const std::vector<double> equal(kLayers, 3.5);
  const SplitInput in{equal, 25, kCandidates, kLayers};
  EXPECT_EQ(cake.policy->split(in), snapkv.policy->split(in));
  EXPECT_EQ(uniform.split(kLayers), snapkv.split(kLayers));
  for (int il = 0; il < kLayers; ++il) {
    EXPECT_EQ(cake.scores[il], snapkv.scores[il]);
    EXPECT_EQ(uniform.scores[il], snapkv.scores[il]);
  }
}

// {uniform, CAKE} split x {mean, CAKE} indicator: four different policies by options alone.
TEST(Cake, TwoByTwoTableIsMadeOfOptions) {
  const Example uniform_mean("cake:window=8,split=uniform,gamma=0");
  const Example uniform_cake("cake:window=8,split=uniform");
  const Example cake_mean("cake:window=8,gamma=0");
  const Example cake_cake("cake:window=8");
  EXPECT_THAT(uniform_mean.split(kLayers), ElementsAre(8, 8, 8));
  EXPECT_THAT(uniform_cake.split(kLayers), ElementsAre(8, 8, 8));
  EXPECT_EQ(cake_mean.split(kLayers), cake_cake.split(kLayers));
  EXPECT_NE(cake_mean.split(kLayers), uniform_mean.split(kLayers));
  EXPECT_EQ(uniform_mean.scores[2], cake_mean.scores[2]);
  EXPECT_EQ(uniform_cake.scores[2], cake_cake.scores[2]);
  EXPECT_NE(cake_mean.scores[2], cake_cake.scores[2]);
}

TEST(Cake, SinksOutrankEverythingAndHaveTheirPlaces) {
  const Example example("cake:window=8,tau2=0.8,sink=2");
  EXPECT_EQ(example.kept(1, 0, 3),
            (std::vector<int32_t>{0, 1, Example(kWaterfill).kept(1, 0, 1)[0]}));
  // Layer 0 would get nothing by preference, see StagesOfBothSplits.
  EXPECT_EQ(example.split(kLayers)[0], 2);
}

TEST(Cake, SaysWhenNobodysShareIsKnown) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> bad[] = {{1, 0}, {0, 0}, {1, nan}, {INFINITY, 1}};
  for (const char* split : {"waterfill", "official", "uniform", "pyramid"}) {
    const auto policy = make_kv_policy(std::string("cake:split=") + split);
    const bool looks = split[0] == 'w' || split[0] == 'o';  // at the preference
    EXPECT_FALSE(policy->falls_back(std::vector<double>{1, 2}));
    for (const std::vector<double>& p : bad) {
      EXPECT_EQ(policy->falls_back(p), looks) << split;
      if (looks) {
        EXPECT_THAT(policy->split({p, 10, 8, 2}), ElementsAre(5, 5)) << split;
      }
    }
  }
  EXPECT_FALSE(make_kv_policy("snapkv")->falls_back(std::vector<double>{0, 0}));
}

TEST(Cake, MinIsAFloorForEverySplit) {
  const double p[] = {1, 1, 1, 1, 96};
  const SplitInput in{p, 500, 1000, 5};
  EXPECT_THAT(make_kv_policy("cake")->split(in), ElementsAre(5, 5, 5, 5, 480));
  for (const char* split : {"waterfill", "official", "uniform", "pyramid"}) {
    const std::string spec = std::string("cake:min=30,split=") + split;
    EXPECT_THAT(make_kv_policy(spec)->split(in), ::testing::Each(::testing::Ge(30))) << split;
  }
  EXPECT_THAT(make_kv_policy("cake:min=30,split=waterfill")->split(in),
              ElementsAre(30, 30, 30, 30, 380));
  EXPECT_EQ(make_kv_policy("cake:split=pyramid")->split(in), make_kv_policy("pyramid")->split(in));
}

TEST(Cake, ALayerWithoutVarianceMakesTheSplitUniform) {
  const double p[] = {4, 0, 100};
  EXPECT_THAT(make_kv_policy("cake")->split({p, 30, 100, 3}), ElementsAre(10, 10, 10));
  EXPECT_THAT(make_kv_policy("cake:split=official")->split({p, 30, 100, 3}),
              ElementsAre(10, 10, 10));
}

TEST(Cake, PresetsAreTheTausOfTheirModelAndBudget) {
  WindowStats stats;
  stats.entropy = 9;
  stats.variance = 0.01;
  const KvLayerView layer{.stats = &stats};
  const struct {
    const char* spec;
    double tau1, tau2;
  } cases[] = {
      {"cake", 1, 1},
      {"cake:preset=llama-3.1-8b-instruct,budget=128", 1.6, 0.6},
      {"cake:preset=llama-3.1-8b-instruct", 1.6, 0.4},
      {"cake:preset=qwen2.5-7b-instruct,budget=1024", 1.5, 0.6},
      {"cake:preset=llama-2-13b-chat,budget=1024", 0.5, 0.4},
      {"cake:preset=mistral-7b-instruct-v0.3,budget=128", 1.0, 0.8},
      {"cake:preset=llama-2-7b-chat,budget=128,tau2=1", 0.9, 1},
  };
  for (const auto& c : cases) {
    EXPECT_DOUBLE_EQ(make_kv_policy(c.spec)->preference(layer),
                     std::pow(9, 1 / c.tau1) * std::pow(0.01, 1 / c.tau2))
        << c.spec;
  }
}

TEST(Cake, RefusesWhatDoesNotGoTogether) {
  const std::pair<const char*, const char*> cases[] = {
      {"cake:budget=36,sink=4", "leaves nothing beside the window of 32 entries and 4 sink"},
      {"cake:budget=100,min=69",
       "min=69 and window=32 do not fit into budget=100; lower min to 68"},
      {"cake:budget=512,preset=llama-2-7b-chat",
       "preset=llama-2-7b-chat was tuned for budget=128 and budget=1024 only, not for 512"},
      {"cake:budget=10%,preset=llama-2-7b-chat", "not for 10%"},
      {"cake:preset=llama-2-7b", "'llama-2-7b' is unknown"},
      {"cake:tau1=0", "0.1..10"},
      {"cake:tau1=-1", "0.1..10"},
      {"cake:tau2=inf", "0.1..10"},
      {"cake:tau2=nan", "0.1..10"},
      {"cake:gamma=-1", "0..10000"},
      {"cake:pool=4", "odd number in 1..15"},
      {"cake:sink=65", "0..64"},
      {"cake:window=3", "4..256"},
      {"cake:split=even", "'split' takes one of waterfill, official, uniform, pyramid"},
  };
  for (const auto& [spec, why] : cases) {
    try {
      make_kv_policy(spec);
      ADD_FAILURE() << "accepted " << spec;
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), ::testing::StartsWith("--kv cake")) << spec;
      EXPECT_THAT(e.what(), ::testing::HasSubstr(why)) << spec;
    }
  }
  EXPECT_NO_THROW(make_kv_policy("cake:budget=100,min=68"));
}

TEST(Cake, CascadesUnlessToldNotTo) {
  EXPECT_TRUE(make_kv_policy("cake")->plan().cascades);
  EXPECT_TRUE(make_kv_policy("cake:cascade=on")->plan().cascades);
  EXPECT_FALSE(make_kv_policy("cake:cascade=off")->plan().cascades);
  EXPECT_THROW(make_kv_policy("cake:cascade=no"), Error);
}

}  // namespace
}  // namespace reprise
