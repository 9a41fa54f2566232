#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <set>

#include "policies/kv/ranking.h"
#include "support/evicting_sequence.h"
#include "support/logits.h"

namespace reprise {
namespace {

using test::copy;
using test::max_difference;
using test::positions;
using CakeSequence = test::EvictingSequence;
using CakeSequenceOfPolicy = test::EverySequence;

// A policy of the registry that remembers what it answered; its cache type can be changed.
class RecordingPolicy final : public KvPolicy {
 public:
  explicit RecordingPolicy(const std::string& spec) : policy_(make_kv_policy(spec)) {}

  KvPlan plan() const override {
    KvPlan plan = policy_->plan();
    if (type) plan.type = *type;
    return plan;
  }
  double preference(const KvLayerView& layer) const override { return policy_->preference(layer); }
  void score(const KvLayerView& layer, std::span<float> out) const override {
    policy_->score(layer, out);
    scores[layer.il].assign(out.begin(), out.end());
    n_candidates = layer.n_candidates;
  }
  std::vector<int32_t> split(const SplitInput& in) const override {
    n_total = in.n_total;
    last_split = policy_->split(in);
    return last_split;
  }

  std::optional<KvType> type;
  mutable std::map<int32_t, std::vector<float>> scores;  // by layer: [n_candidates, n_head_kv]
  mutable int32_t n_candidates = 0;
  mutable int64_t n_total = 0;
  mutable std::vector<int32_t> last_split;  // with all layers known

 private:
  std::unique_ptr<KvPolicy> policy_;
};

float max_magnitude(std::span<const float> values) {
  float max = 0;
  for (const float value : values) max = std::max(max, std::abs(value));
  return max;
}

constexpr const char* kTypes[] = {"f16", "q8_0", "q4_0"};

// Eviction changes what decoding sees, never the logits behind the prompt: up to one chunk they are
// the same sums in the same order.
TEST_P(CakeSequenceOfPolicy, FirstLogitsAreThoseOfTheFullCache) {
  for (const char* arch : {"llama", "qwen2", "qwen3", "gemma3"}) {
    load({.arch = arch});
    Sequence full = sequence("full");
    Sequence evicting = sequence(spec("budget=40,window=8"));
    const std::vector<int32_t> prompt = tokens(400, 1);
    const std::vector<float> want = copy(full.prefill(prompt, {}));
    EXPECT_EQ(copy(evicting.prefill(prompt, {})), want) << arch;
    EXPECT_TRUE(evicting.last_prefill().is_cascade);
    EXPECT_GT(evicting.last_prefill().n_entries_dropped, 0);
    // And what decoding sees did change.
    EXPECT_GT(max_difference(evicting.decode(5), full.decode(5)), 1e-3F) << arch;
  }
}

TEST_P(CakeSequenceOfPolicy, BudgetOfThePromptsLengthIsTheFullCacheBitwise) {
  load({.n_embd_head = 32});
  for (const std::string type : kTypes) {
    Sequence full = sequence("full:type=" + type);
    Sequence slack = sequence(spec("budget=520,type=" + type));
    const std::vector<int32_t> prompt = tokens(520, 2);
    EXPECT_EQ(copy(slack.prefill(prompt, {})), copy(full.prefill(prompt, {})));
    for (const int32_t token : tokens(4, 3)) {
      EXPECT_EQ(copy(slack.decode(token)), copy(full.decode(token)));
    }
    for (int32_t il = 0; il < 7; ++il)
      EXPECT_EQ(slack.kv().save_layer(il), full.kv().save_layer(il));
  }
}

// What is kept adds up to the budget, or to everything, and the window is always there.
TEST_P(CakeSequenceOfPolicy, KeptEntriesSumToTheBudget) {
  load({.arch = "gemma3", .n_layer = 13});  // 2 of the 13 layers see everything
  constexpr int32_t kWindow = 8;
  for (const int32_t budget : {13, 30, 299}) {
    for (const int32_t n_prompt : {20, 300}) {
      const auto policy =
          std::make_shared<RecordingPolicy>(spec("window=8,budget=" + std::to_string(budget)));
      Sequence evicting(model_, backend_, policy);
      evicting.prefill(tokens(n_prompt, 4), {});
      int64_t n_kept = 0;
      int64_t n_eligible = 0;
      for (int32_t il = 0; il < 13; ++il) {
        if (!evicting.kv().shape(il).is_eligible()) continue;
        ++n_eligible;
        n_kept += evicting.kv().count(il);
        for (int32_t g = 0; g < 2; ++g) {
          const std::vector<int32_t> held = positions(evicting.kv(), il, g);
          const std::set<int32_t> distinct(held.begin(), held.end());
          EXPECT_EQ(distinct.size(), held.size());
          for (int32_t i = n_prompt - kWindow; i < n_prompt; ++i) {
            EXPECT_TRUE(distinct.contains(i)) << i;
          }
        }
      }
      EXPECT_EQ(n_eligible, 2);
      EXPECT_EQ(n_kept, n_eligible * std::min(budget, n_prompt)) << budget << " of " << n_prompt;
    }
  }
}

// A state goes on elsewhere as if it had never been saved.
TEST_P(CakeSequenceOfPolicy, RestoredStateContinuesBitwise) {
  for (const char* arch : {"llama", "gemma3"}) {
    load({.arch = arch, .n_embd_head = 32});
    for (const std::string type : kTypes) {
      const std::string options = "budget=60,window=8,type=" + type;
      Sequence first = sequence(spec(options));
      Sequence second = sequence(spec(options));
      first.prefill(tokens(200, 5), {});
      for (const int32_t token : tokens(40, 6)) first.decode(token);
      second.restore(first.save());
      EXPECT_EQ(second.n_past(), 240);
      for (const int32_t token : tokens(10, 7)) {
        ASSERT_EQ(copy(second.decode(token)), copy(first.decode(token))) << arch << " " << type;
      }
      EXPECT_EQ(copy(second.prefill(tokens(150, 8), {})), copy(first.prefill(tokens(150, 8), {})));
      EXPECT_EQ(copy(second.decode(9)), copy(first.decode(9)));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Policies, CakeSequenceOfPolicy,
                         ::testing::ValuesIn(test::names_of_evicting_policies()),
                         [](const auto& info) { return info.param; });

// Theorem 1 of CAKE: cutting layer by layer keeps what one eviction with the final split would.
TEST_F(CakeSequence, CascadeEqualsOneEviction) {
  const char* const archs[] = {"llama", "qwen2", "qwen3", "gemma3"};
  for (uint32_t seed = 1; seed <= 24; ++seed) {
    load({.arch = archs[seed % 4], .n_layer = 13, .seed = seed});
    const std::string spec = std::string("cake:budget=") + std::to_string(12 + 5 * seed) +
                             ",window=8,gamma=" + (seed % 3 == 0 ? "0" : "200") +
                             (seed % 5 == 0 ? ",sink=4" : "") + (seed % 7 == 0 ? ",min=3" : "");
    const auto policy = std::make_shared<RecordingPolicy>(spec);
    Sequence evicting(model_, backend_, policy);
    const int32_t n_prompt = 150 + static_cast<int32_t>(seed);
    evicting.prefill(tokens(n_prompt, seed), {});
    size_t i_eligible = 0;
    int64_t sum = 0;
    for (const auto& [il, scores] : policy->scores) {
      const int32_t n_keep = policy->last_split[i_eligible++];
      sum += n_keep;
      ASSERT_EQ(evicting.kv().count(il), n_keep + 8) << spec << " seed " << seed << " layer " << il;
      for (int32_t g = 0; g < 2; ++g) {
        std::vector<int32_t> want(policy->n_candidates);
        rank_candidates(std::span(scores).subspan(g * want.size(), want.size()), n_keep, want);
        want.resize(n_keep);
        for (int32_t i = n_prompt - 8; i < n_prompt; ++i) want.push_back(i);
        EXPECT_EQ(positions(evicting.kv(), il, g), want) << spec << " seed " << seed;
      }
    }
    EXPECT_EQ(i_eligible, policy->last_split.size());
    EXPECT_EQ(sum, std::min<int64_t>(policy->n_total, i_eligible * policy->n_candidates)) << spec;
  }
}

TEST_F(CakeSequence, UniformSplitWithoutVarianceIsSnapKv) {
  load({.arch = "qwen3"});
  Sequence cake = sequence("cake:budget=50,window=8,gamma=0,split=uniform");
  Sequence snapkv = sequence("snapkv:budget=50,window=8");
  Sequence official = sequence("cake:budget=50,window=8,split=uniform");
  for (Sequence* each : {&cake, &snapkv, &official}) each->prefill(tokens(300, 1), {});
  bool differs = false;
  for (int32_t il = 0; il < 7; ++il) {
    EXPECT_EQ(cake.kv().save_layer(il), snapkv.kv().save_layer(il)) << il;
    differs = differs || official.kv().save_layer(il) != snapkv.kv().save_layer(il);
  }
  EXPECT_TRUE(differs);  // the variance does matter
  for (const int32_t token : tokens(5, 2)) {
    EXPECT_EQ(copy(cake.decode(token)), copy(snapkv.decode(token)));
  }
}

// F32 entries: the sums alone change their order, by a few of 2^-24 relative to the largest logit.
TEST_F(CakeSequence, OrderOfEntriesDoesNotMatter) {
  for (const char* arch : {"llama", "gemma3"}) {
    load({.arch = arch});
    const auto policy = std::make_shared<RecordingPolicy>("cake:budget=60,window=8");
    policy->type = KvType::kF32;
    Sequence evicting(model_, backend_, policy);
    Sequence permuted(model_, backend_, policy);
    for (Sequence* each : {&evicting, &permuted}) each->prefill(tokens(300, 1), {.n_growth = 8});
    KvStore& kv = permuted.kv();
    std::mt19937 rng(3);
    for (int32_t il = 0; il < kv.n_layer(); ++il) {
      if (!kv.shape(il).is_eligible()) continue;
      const int32_t n = kv.count(il);  // a free slot: a place to swap through
      for (int32_t g = 0; g < 2; ++g) {
        for (int32_t i = n - 1; i > 0; --i) {
          const auto j = static_cast<int32_t>(rng() % (i + 1));
          kv.replace(il, g, n, i);
          kv.replace(il, g, i, j);
          kv.replace(il, g, j, n);
        }
      }
    }
    for (const int32_t token : tokens(4, 5)) {
      const std::vector<float> want = copy(evicting.decode(token));
      EXPECT_LT(max_difference(permuted.decode(token), want), 1e-5F * max_magnitude(want)) << arch;
    }
  }
}

// Graphs have as many nodes as the model needs, not a fixed number.
TEST_F(CakeSequence, DeepModelsWithQuantisedCachesFit) {
  load({.arch = "qwen3",
        .n_embd = 32,
        .n_layer = 160,
        .n_ff = 32,
        .n_head = 8,
        .n_head_kv = 8,
        .n_embd_head = 32});
  Sequence ours = sequence("full:type=q8_0");
  ours.prefill(tokens(5, 1), {});
  EXPECT_EQ(ours.decode(3).size(), 320U);
}

}  // namespace
}  // namespace reprise
