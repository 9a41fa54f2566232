#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>
#include <random>
#include <set>

#include "core/error.h"
#include "engines/generate/sequence.h"
#include "policies/kv/ranking.h"
#include "policies/registry.h"
#include "support/cake_example.h"
#include "support/tiny_model_test.h"

namespace reprise {
namespace {

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

std::vector<float> copy(std::span<const float> values) { return {values.begin(), values.end()}; }

float max_difference(std::span<const float> a, std::span<const float> b) {
  EXPECT_EQ(a.size(), b.size());
  float max = 0;
  for (size_t i = 0; i < a.size(); ++i) max = std::max(max, std::abs(a[i] - b[i]));
  return max;
}

float max_magnitude(std::span<const float> values) {
  float max = 0;
  for (const float value : values) max = std::max(max, std::abs(value));
  return max;
}

std::vector<int32_t> positions(const KvStore& kv, int32_t il, int32_t g) {
  std::vector<int32_t> out(kv.count(il));
  for (int32_t slot = 0; slot < kv.count(il); ++slot) out[slot] = kv.position(il, g, slot);
  return out;
}

class CakeSequence : public test::TinyModelTest {
 protected:
  Sequence sequence(const std::string& spec) {
    return {model_, backend_, std::shared_ptr<const KvPolicy>(make_kv_policy(spec))};
  }
};

class CakeSequenceOfPolicy : public CakeSequence,
                             public ::testing::WithParamInterface<std::string> {
 protected:
  std::string spec(const std::string& options) const { return GetParam() + ":" + options; }
  static std::vector<std::string> types() { return {"f16", "q8_0", "q4_0"}; }
};

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
  for (const std::string& type : types()) {
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
    for (const std::string& type : types()) {
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

std::vector<std::string> names_of_evicting_policies() {
  std::vector<std::string> names;
  for (const PolicyEntry* entry : kv_policies_with_budget()) names.emplace_back(entry->bare_name());
  return names;
}
INSTANTIATE_TEST_SUITE_P(Policies, CakeSequenceOfPolicy,
                         ::testing::ValuesIn(names_of_evicting_policies()),
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

// A replacing cache stays at its size for as long as one decodes: entries, blocks and all.
TEST_F(CakeSequence, TenThousandStepsDoNotGrow) {
  load({.n_embd = 32, .n_layer = 2});
  Sequence ours = sequence("tova:budget=48,window=8,decode=tova");
  ours.prefill(tokens(120, 1), {.n_growth = 10'000});
  const int64_t n_bytes = ours.kv().memory().current();
  const int64_t n_held = ours.kv().n_held_bytes();
  // Of the growth asked for, no more than one step's entry is taken.
  EXPECT_EQ(n_bytes, 2 * ours.kv().shape(0).entry_bytes() * 49);
  ours.kv().memory().reset_peak();
  const std::vector<int32_t> answer = tokens(10'000, 2);
  for (const int32_t token : answer) ours.decode(token);
  EXPECT_EQ(ours.n_past(), 10'120);
  EXPECT_EQ(ours.kv().n_held_bytes(), n_held);
  EXPECT_EQ(ours.kv().memory().current(), n_bytes);
  EXPECT_EQ(ours.kv().memory().peak(), n_bytes);
  EXPECT_EQ(ours.n_evicted_in_decode(), 2 * 10'000);
}

// Neither does a budget that is never reached take memory beforehand.
TEST_F(CakeSequence, MemoryFollowsEntriesNotTheBudget) {
  load({});
  for (const char* budget : {"2147483647", "100GiB"}) {
    Sequence ours = sequence(std::string("tova:decode=tova,window=8,budget=") + budget);
    ours.prefill(tokens(10, 1), {});
    for (const int32_t token : tokens(300, 2)) ours.decode(token);
    EXPECT_EQ(ours.kv().count(0), 310);
    EXPECT_LE(ours.kv().memory().current(), 7 * ours.kv().shape(0).entry_bytes() * 512);
  }
}

// A prompt that fits grows to its budget first; from then on the window, which moves with the
// answer, is all that is safe.
TEST_F(CakeSequence, WindowMovesWithTheAnswer) {
  load({});
  constexpr int32_t kWindow = 8;
  for (const char* mode : {"cake", "cake_official", "tova", "ema"}) {
    Sequence ours = sequence(std::string("cake:budget=40,window=8,decode=") + mode);
    ours.prefill(tokens(20, 1), {});
    std::vector<std::set<int32_t>> before(14);
    for (int32_t i = 0; i < 5 * 40; ++i) {
      ours.decode(tokens(1, 50 + i)[0]);
      for (int32_t il = 0; il < 7; ++il) {
        ASSERT_EQ(ours.kv().count(il), std::min(40, 21 + i)) << mode;
        for (int32_t g = 0; g < 2; ++g) {
          const std::vector<int32_t> held = positions(ours.kv(), il, g);
          const std::set<int32_t> now(held.begin(), held.end());
          ASSERT_EQ(now.size(), held.size());
          for (int32_t back = 0; back < kWindow; ++back) ASSERT_TRUE(now.contains(20 + i - back));
          // One comes, at most one goes.
          std::set<int32_t>& old = before[il * 2 + g];
          std::vector<int32_t> gone;
          std::set_difference(old.begin(), old.end(), now.begin(), now.end(),
                              std::back_inserter(gone));
          ASSERT_EQ(static_cast<int32_t>(gone.size()), 21 + i > 40 ? 1 : 0) << mode;
          old = now;
        }
      }
    }
  }
}

// Who is dropped, against the plain rule over attention measured in a second store.
TEST_F(CakeSequence, DropsWhatThePlainRuleDrops) {
  load({.arch = "qwen3"});
  const DecoderHparams& hp = model_->hparams();
  constexpr int32_t kWindow = 6;
  for (const bool is_pooled : {false, true}) {
    Sequence ours =
        sequence(std::string("snapkv:budget=30,window=6,decode=") + (is_pooled ? "cake" : "tova"));
    ours.prefill(tokens(90, 1), {});
    DecoderState twin{model_, GraphArena(backend_),
                      KvStore(std::vector<KvLayerShape>(
                          hp.n_layer, {{hp.n_embd_head, hp.n_head_kv, GGML_TYPE_F16}, 0}))};
    PassOutputs outputs;
    outputs.wants_probs = true;
    int32_t n_past = 90;
    for (const int32_t token : tokens(60, 2)) {
      for (int32_t il = 0; il < hp.n_layer; ++il) {
        twin.kv.restore_layer(il, ours.kv().save_layer(il));
      }
      twin.n_past = n_past++;
      chunk_pass(twin, std::span(&token, 1), outputs);
      ours.decode(token);
      for (int32_t il = 0; il < hp.n_layer; ++il) {
        const int32_t n_slots = twin.kv.count(il);
        const auto* probs = static_cast<const float*>(outputs.probs[il]->data);
        for (int32_t g = 0; g < hp.n_head_kv; ++g) {
          std::map<int32_t, double> attention;  // by position: mean of the two query heads
          for (int32_t slot = 0; slot < n_slots; ++slot) {
            const float* column = probs + static_cast<size_t>(2 * g) * n_slots + slot;
            attention[twin.kv.position(il, g, slot)] = (double{column[0]} + column[n_slots]) / 2;
          }
          std::vector<std::pair<int32_t, double>> candidates(attention.begin(), attention.end());
          candidates.resize(candidates.size() - kWindow);
          int32_t victim = -1;
          double least = INFINITY;
          for (size_t i = 0; i < candidates.size(); ++i) {
            double score = candidates[i].second;
            if (is_pooled) {
              score = 0;
              for (size_t j = i < 2 ? 0 : i - 2; j < std::min(i + 3, candidates.size()); ++j) {
                score += candidates[j].second;
              }
            }
            if (score < least) victim = candidates[i].first;
            least = std::min(least, score);
          }
          std::vector<int32_t> want;
          for (const auto& [position, a] : attention) {
            if (position != victim) want.push_back(position);
          }
          std::vector<int32_t> got = positions(ours.kv(), il, g);
          std::sort(got.begin(), got.end());
          ASSERT_EQ(got, want) << "token " << n_past << " layer " << il << " KV head " << g;
        }
      }
    }
  }
}

// The worked example of the specification, carried to its first decode step: ranked entries and
// window stand in the store as a cascade leaves them, and the step's attention is the example's.
TEST(CakeGoldenStep, DropsThePublishedPositions) {
  using cake_example::kLayers;
  using cake_example::kShape;
  constexpr KvShape kEntry{.n_embd_head = 8, .n_head_kv = 2, .type = GGML_TYPE_F32};
  constexpr int32_t kWindow = 8;
  const std::pair<const char*, std::vector<int32_t>> cases[] = {
      {"cake_official", {26, 29, 29, 32, 23, 4}},
      {"cake", {26, 29, 26, 1, 21, 32}},
      {"tova", {26, 29, 26, 32, 21, 32}}};
  for (const auto& [mode, want] : cases) {
    const auto policy = make_kv_policy(
        std::string("cake:budget=16,window=8,tau2=0.8,split=official,decode=") + mode);
    KvStore kv(std::vector<KvLayerShape>(kLayers, {kEntry, 0}));
    std::vector<double> preference;
    std::vector<WindowStats> stats;
    for (int il = 0; il < kLayers; ++il) {
      stats.push_back(cake_example::stats(il));
      preference.push_back(policy->preference(
          {.il = il, .n_candidates = 32, .n_head_kv = 2, .stats = &stats.back()}));
    }
    const std::vector<int32_t> budgets = policy->split({preference, 24, 32, kLayers});
    for (int il = 0; il < kLayers; ++il) {
      KvBlock staging(kEntry, 40, kv.memory());
      KvPages pages(kEntry, kv.memory());
      std::vector<float> scores(64);
      policy->score({.il = il, .n_candidates = 32, .n_head_kv = 2, .stats = &stats[il]}, scores);
      std::vector<int32_t> window(kWindow);
      std::iota(window.begin(), window.end(), 32);
      for (int32_t g = 0; g < 2; ++g) {
        std::vector<int32_t> order(32);
        rank_candidates(std::span(scores).subspan(32 * g, 32), budgets[il], order);
        order.resize(budgets[il]);
        pages.store(g, staging, order, window);
      }
      kv.adopt(il, std::move(pages), 0, 1);
    }
    DecodeEviction eviction(policy->plan(), kv, std::vector<int32_t>(kLayers, 0),
                            {.binds = true, .n_candidates = 24, .n_spare = 0});
    std::vector<std::vector<int32_t>> before;
    std::vector<std::vector<float>> attention(kLayers);
    std::vector<ggml_tensor> tensors(kLayers);
    std::vector<ggml_tensor*> probs;
    for (int il = 0; il < kLayers; ++il) {
      kv.commit(il, 1, 40);
      const int32_t n_slots = kv.count(il);
      for (int h = 0; h < kShape.n_head; ++h) {
        const int32_t g = h / 2;
        std::vector<double> a;
        for (const int32_t pos : positions(kv, il, g)) {
          double dot = 0;
          for (int x = 0; x < 8; ++x)
            dot += cake_example::q(il, h, 40, x) * cake_example::k(il, g, pos, x);
          a.push_back(std::exp(dot / std::sqrt(8.0)));
        }
        const double sum = std::accumulate(a.begin(), a.end(), 0.0);
        for (const double x : a) attention[il].push_back(static_cast<float>(x / sum));
      }
      for (int32_t g = 0; g < 2; ++g) before.push_back(positions(kv, il, g));
      tensors[il].ne[0] = n_slots;
      tensors[il].ne[1] = 1;
      tensors[il].ne[2] = kShape.n_head;
      tensors[il].data = attention[il].data();
      probs.push_back(&tensors[il]);
    }
    EXPECT_EQ(eviction.step(kv, probs), kLayers);
    std::vector<int32_t> dropped;
    for (int il = 0; il < kLayers; ++il) {
      for (int32_t g = 0; g < 2; ++g) {
        const std::vector<int32_t> now = positions(kv, il, g);
        for (const int32_t pos : before[2 * il + g]) {
          if (std::find(now.begin(), now.end(), pos) == now.end()) dropped.push_back(pos);
        }
      }
    }
    EXPECT_EQ(dropped, want) << mode;
  }
}

// Whether a byte budget suffices is said before the first turn, not in the middle of a
// conversation.
TEST_F(CakeSequence, ByteBudgetIsRefusedAtOnceOrNever) {
  load({});
  const int64_t entry_bytes =
      7 * KvLayerShape{{16, 2, GGML_TYPE_F16}, 0}.entry_bytes();  // in all layers
  const auto budget = [&](int32_t n_entries) {
    return fmt::format("{:.10f}KiB", static_cast<double>(entry_bytes * n_entries) / 1024);
  };
  // 16 in the window, 4 sinks and one more.
  const std::pair<const char*, int32_t> cases[] = {{"streaming:sink=4", 21},
                                                   {"cake:sink=4", 21},
                                                   {"cake:sink=4,min=30", 46},
                                                   {"snapkv:type=f16", 17}};
  for (const auto& [policy, n_least] : cases) {
    const auto spec = [&, &policy = policy](int32_t n) {
      return std::string(policy) + ",window=16,budget=" + budget(n);
    };
    Sequence small = sequence(spec(n_least - 1));
    try {
      small.prefill(tokens(3, 1), {});
      FAIL() << policy << ": a budget without room for the window was accepted";
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr("smallest budget here is " +
                                                     std::to_string(entry_bytes * n_least)));
    }
    EXPECT_EQ(small.n_past(), 0);
    Sequence ours = sequence(spec(n_least));
    for (uint32_t turn = 1; turn <= 5; ++turn) {
      EXPECT_NO_THROW(ours.prefill(tokens(turn == 1 ? 100 : 3, turn), {})) << policy;
    }
  }
}

int64_t n_held(Sequence& sequence) {
  int64_t sum = 0;
  for (int32_t il = 0; il < sequence.kv().n_layer(); ++il) {
    if (sequence.kv().shape(il).is_eligible()) sum += sequence.kv().count(il);
  }
  return sum;
}

// One budget, whatever its unit, for a conversation that never ends: long turns, short ones, and
// such of a single token.
TEST_P(CakeSequenceOfPolicy, ConversationStaysWithinItsBudget) {
  for (const char* arch : {"llama", "gemma3"}) {
    load({.arch = arch, .n_layer = 8});
    Sequence probe = sequence("full");
    int64_t n_eligible = 0;
    int64_t swa_bytes = 0;
    for (int32_t il = 0; il < 8; ++il) {
      const KvLayerShape& shape = probe.kv().shape(il);
      n_eligible += shape.is_eligible() ? 1 : 0;
      if (!shape.is_eligible()) swa_bytes += shape.entry_bytes() * (shape.n_swa + 512);
    }
    const int64_t entry_bytes = probe.kv().shape(0).entry_bytes();
    const int64_t n_kib = (swa_bytes + entry_bytes * n_eligible * 60 + 1023) / 1024;
    for (const std::string& budget : {std::to_string(n_kib) + "KiB", std::string("60")}) {
      for (const char* decode : {"grow", "tova", "cake", "cake_official", "ema"}) {
        Sequence ours = sequence(spec("window=8,budget=" + budget + ",decode=" + decode));
        const int64_t n_most =
            budget == "60" ? 60 * n_eligible : (n_kib * 1024 - swa_bytes) / entry_bytes;
        int64_t n_before = 0;
        for (uint32_t turn = 0; turn < 12; ++turn) {
          constexpr int32_t kLengths[] = {40, 7, 1, 100, 3, 30};
          const int32_t n_turn = kLengths[turn % 6];
          ours.prefill(tokens(n_turn, 60 + turn), {.n_growth = 10});
          // Nothing is thrown away that there is place for.
          ASSERT_EQ(n_held(ours), std::min(n_most, n_before + n_eligible * n_turn))
              << arch << " " << budget << " " << decode << " turn " << turn;
          for (int32_t il = 0; il < 8; ++il) {
            for (int32_t g = 0; g < 2 && ours.kv().shape(il).is_eligible(); ++g) {
              const std::vector<int32_t> held = positions(ours.kv(), il, g);
              const std::set<int32_t> distinct(held.begin(), held.end());
              ASSERT_EQ(distinct.size(), held.size());
              for (int32_t back = 1; back <= std::min(8, ours.n_past()); ++back) {
                ASSERT_TRUE(distinct.contains(ours.n_past() - back)) << back;
              }
            }
          }
          for (const int32_t token : tokens(10, 90 + turn)) {
            for (const float logit : ours.decode(token)) ASSERT_TRUE(std::isfinite(logit));
          }
          if (std::string(decode) != "grow") {
            ASSERT_LE(n_held(ours), n_most) << arch << " " << decode << " turn " << turn;
          }
          n_before = n_held(ours);
        }
      }
    }
  }
}

// With turns=each, earlier turns keep what they had, entry for entry.
TEST_P(CakeSequenceOfPolicy, TurnsOfTheirOwnAddUp) {
  load({});
  Sequence ours = sequence(spec("window=8,budget=30,turns=each"));
  std::vector<int32_t> before;
  for (uint32_t turn = 0; turn < 4; ++turn) {
    ours.prefill(tokens(50, turn), {});
    EXPECT_EQ(n_held(ours), int64_t{7} * 30 * (turn + 1));
    std::vector<int32_t> now = positions(ours.kv(), 2, 1);
    EXPECT_TRUE(std::equal(before.begin(), before.end(), now.begin()));
    before = now;
  }
}

// Tokens that came without a step (a teacher-forced text) are candidates like all others.
TEST_F(CakeSequence, ReplacesAfterTokensThatCameInBulk) {
  load({});
  Sequence ours = sequence("snapkv:budget=40,window=8,decode=tova");
  ours.prefill(tokens(100, 1), {});
  ours.extend_all(tokens(30, 2));
  EXPECT_EQ(ours.kv().count(0), 70);
  for (const int32_t token : tokens(50, 3)) {
    ours.decode(token);
    for (int32_t g = 0; g < 2; ++g) {
      const std::vector<int32_t> held = positions(ours.kv(), 0, g);
      const std::set<int32_t> distinct(held.begin(), held.end());
      EXPECT_THAT(distinct, ::testing::SizeIs(40));
      for (int32_t back = 0; back < 8; ++back) {
        EXPECT_TRUE(distinct.contains(ours.n_past() - 1 - back)) << back;
      }
      const auto n_bulk = std::ranges::count_if(
          held, [](int32_t position) { return position >= 100 && position < 130; });
      EXPECT_LT(n_bulk, 30);
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
