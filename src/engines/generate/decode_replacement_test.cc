#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "engines/generate/decode_eviction.h"
#include "policies/kv/ranking.h"
#include "support/cake_example.h"
#include "support/evicting_sequence.h"

namespace reprise {
namespace {

using test::positions;
using DecodeReplacement = test::EvictingSequence;

// A replacing cache stays at its size for as long as one decodes: entries, blocks and all.
TEST_F(DecodeReplacement, TenThousandStepsDoNotGrow) {
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
TEST_F(DecodeReplacement, MemoryFollowsEntriesNotTheBudget) {
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
TEST_F(DecodeReplacement, WindowMovesWithTheAnswer) {
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
TEST_F(DecodeReplacement, DropsWhatThePlainRuleDrops) {
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
  int32_t n_threads = 0;
  for (const auto& [mode, want] : cases) {
    const Backend backend(++n_threads);  // which share the layers
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
    DecodeEviction eviction(backend, policy->plan(), kv, std::vector<int32_t>(kLayers, 0),
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

// Tokens that came without a step (a teacher-forced text) are candidates like all others.
TEST_F(DecodeReplacement, ReplacesAfterTokensThatCameInBulk) {
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

}  // namespace
}  // namespace reprise
