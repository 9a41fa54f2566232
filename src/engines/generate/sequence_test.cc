#include "engines/generate/sequence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>
#include <set>

#include "core/error.h"
#include "core/op_trace.h"
#include "engines/generate/libllama_peer.h"
#include "support/scripted_policy.h"
#include "support/tiny_model_test.h"

namespace reprise {
namespace {

using test::entries;
using test::ScriptedPolicy;

std::vector<int32_t> random_tokens(int32_t n, int32_t n_vocab, uint32_t seed) {
  std::mt19937 rng(seed);
  std::vector<int32_t> tokens(n);
  for (int32_t& token : tokens) token = static_cast<int32_t>(rng() % n_vocab);
  return tokens;
}

float max_difference(std::span<const float> a, std::span<const float> b) {
  EXPECT_EQ(a.size(), b.size());
  float max = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    max = std::max(max, std::abs(a[i] - b[i]));
  return max;
}

std::vector<float> copy(std::span<const float> values) { return {values.begin(), values.end()}; }

// Scores that keep the latest candidates of every layer and head.
float latest(int32_t /*il*/, int32_t /*g*/, int32_t n) { return static_cast<float>(n); }
// Scores that differ from layer to layer and head to head.
float scattered(int32_t il, int32_t g, int32_t n) {
  return static_cast<float>((static_cast<uint32_t>(n + 1) * 2654435761U >> (7 + g + il % 3)) %
                            4093);
}

class SequenceTest : public test::TinyModelTest {
 protected:
  Sequence sequence(const KvPlan& plan, ScriptedPolicy::Score score = latest) {
    return {model_, backend_, std::make_shared<ScriptedPolicy>(plan, std::move(score))};
  }
  Sequence full() { return sequence({}); }
  std::vector<int32_t> tokens(int32_t n, uint32_t seed = 7) const {
    return random_tokens(n, model_->hparams().n_vocab, seed);
  }
};

class SequenceAgainstPeer : public SequenceTest,
                            public ::testing::WithParamInterface<std::string> {};

// F32 weights, F32 cache, no flash: only the order of additions differs.
TEST_P(SequenceAgainstPeer, F32LogitsEqualLibllama) {
  load({.arch = GetParam()});
  KvPlan plan;
  plan.type = KvType::kF32;
  Sequence ours = sequence(plan);
  LibllamaPeer peer(path_, {.type_kv = GGML_TYPE_F32, .n_threads = 1});
  const std::vector<int32_t> prompt = tokens(700);
  const std::vector<float> want = peer.extend_all(prompt);
  // What the order of additions alone does, in libllama itself: token by token against batches.
  LibllamaPeer by_one(path_, {.type_kv = GGML_TYPE_F32, .n_ubatch = 1, .n_threads = 1});
  const float noise = max_difference(by_one.extend_all(prompt), want);
  EXPECT_LT(noise, 5e-3F);
  EXPECT_LT(max_difference(ours.extend_all(prompt), want), std::max(1e-3F, 2 * noise));
}

// A token's graph is kept while it fits: through growth, other passes, saving and a trace that
// comes and goes, every token must find the logits that a graph of its own gives.
TEST_P(SequenceAgainstPeer, AKeptTokenGraphGivesWhatANewOneDoes) {
  load({.arch = GetParam()});
  const std::vector<int32_t> all = tokens(300);
  const auto whole = std::span(all);
  Backend other(2);
  OpTrace traces[] = {{2, 4}, {2, 4}};
  Sequence kept = full();
  Sequence rebuilt(model_, other, std::make_shared<ScriptedPolicy>(KvPlan{}, latest));
  const auto extend = [&](size_t first, size_t n) {
    kept.extend_all(whole.subspan(first, n));
    rebuilt.extend_all(whole.subspan(first, n));
  };
  const auto decode = [&](size_t first, size_t n) {
    for (size_t i = first; i < first + n; ++i) {
      other.set_trace(&traces[i % 2]);  // nodes report to one trace: another needs another graph
      const std::vector<float> want = copy(rebuilt.decode(all[i]));
      EXPECT_EQ(copy(kept.decode(all[i])), want) << "token " << i;
    }
  };
  extend(0, 20);
  decode(20, 20);
  {
    OpTrace trace(backend_.n_threads(), 4);
    backend_.set_trace(&trace);
    decode(40, 3);
    backend_.set_trace(nullptr);
    EXPECT_GT(trace.busy_s(), 0);
  }
  decode(43, 2);
  extend(45, 100);  // layers grow
  decode(145, 5);
  const SequenceState saved = kept.save();
  decode(150, 5);
  kept.restore(saved);  // into blocks of another size
  rebuilt.restore(saved);
  decode(200, 5);
}

TEST_P(SequenceAgainstPeer, LogitsEqualLibllama) {
  const test::TinyModel tiny{.arch = GetParam()};
  load(tiny);
  Sequence ours = full();
  // Both keep an F16 cache here, so that the rounding of K and V is the same. libllama rounds
  // queries and probabilities to F16 as well, in another way with flash attention than without;
  // ours stay F32. So its distance from itself is the scale.
  LibllamaPeer peer(path_, {.n_threads = 1});
  LibllamaPeer flash(path_, {.is_flash = true, .n_threads = 1});
  const std::vector<int32_t> prompt = tokens(600);
  const std::vector<float> want = peer.extend_all(prompt);
  const float noise = 2 * max_difference(flash.extend_all(prompt), want);
  EXPECT_LT(noise, 0.2F);
  const std::vector<float> prefix = copy(ours.extend_all(std::span(prompt).first(590)));
  EXPECT_LT(max_difference(prefix, std::span(want).first(prefix.size())), noise);
  for (int32_t i = 590; i < 600; ++i) {  // decode continues where the prefill stopped
    const std::span<const float> row = ours.decode(prompt[i]);
    EXPECT_LT(max_difference(row, std::span(want).subspan(static_cast<size_t>(i) * tiny.n_vocab,
                                                          tiny.n_vocab)),
              noise);
  }
}

TEST_P(SequenceAgainstPeer, CascadePrefillIsExact) {
  load({.arch = GetParam()});
  const std::vector<int32_t> prompt = tokens(1033);  // the last chunk alone would be shorter than w
  Sequence plain = full();
  const std::vector<float> want = copy(plain.prefill(prompt, {}));
  Sequence evicting = sequence(entries(64, 16), scattered);
  const std::vector<float> got = copy(evicting.prefill(prompt, {}));
  EXPECT_TRUE(evicting.last_prefill().is_cascade);
  EXPECT_LT(max_difference(got, want), 2e-3F);  // chunks of other sizes round in another order
  for (int32_t il = 0; il < model_->hparams().n_layer; ++il) {
    if (evicting.kv().shape(il).is_eligible()) {
      EXPECT_EQ(evicting.kv().count(il), 64) << il;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Architectures, SequenceAgainstPeer,
                         ::testing::Values("llama", "qwen2", "qwen3", "gemma3"),
                         [](const auto& info) { return info.param; });

TEST_F(SequenceTest, QuantisedCachesStayNear) {
  load({.n_embd = 128, .n_embd_head = 32});
  const std::vector<int32_t> prompt = tokens(300);
  Sequence plain = full();
  const std::vector<float> want = copy(plain.prefill(prompt, {}));
  const auto norm = [](std::span<const float> v) {
    double sum = 0;
    for (const float x : v) sum += double{x} * x;
    return std::sqrt(sum);
  };
  for (const auto& [type, tolerance] : {std::pair{KvType::kQ8_0, 0.05}, {KvType::kQ4_0, 0.6}}) {
    KvPlan plan;
    plan.type = type;
    Sequence quantised = sequence(plan);
    std::vector<float> difference = copy(quantised.prefill(prompt, {}));
    EXPECT_LT(quantised.kv().n_held_bytes(), plain.kv().n_held_bytes() * 6 / 10);
    for (size_t i = 0; i < want.size(); ++i) difference[i] -= want[i];
    EXPECT_LT(norm(difference), tolerance * norm(want)) << static_cast<int>(type);
    EXPECT_GT(norm(difference), 0);
  }
}

// What the cascade holds decides what decoding sees: libllama with the same positions removed
// agrees.
TEST_F(SequenceTest, DecodesLikeLibllamaWithoutTheDroppedPositions) {
  load({});
  const std::vector<int32_t> prompt = tokens(700);
  LibllamaPeer peer(path_, {.n_threads = 1});
  Sequence evicting = sequence(entries(100, 32), latest);
  peer.extend_all(prompt);
  evicting.prefill(prompt, {});
  peer.forget(0, 600);
  float max = 0;
  float unlike_full = 0;
  Sequence plain = full();
  plain.prefill(prompt, {});
  for (const int32_t token : tokens(20, 9)) {
    const std::vector<float> want = peer.extend_all(std::span(&token, 1));
    max = std::max(max, max_difference(evicting.decode(token), want));
    unlike_full = std::max(unlike_full, max_difference(plain.decode(token), want));
  }
  EXPECT_LT(max, 2e-2F);
  EXPECT_GT(unlike_full, 0.1F);  // the positions did matter
}

TEST_F(SequenceTest, SlackBudgetIsTheFullCacheBitwise) {
  load({});
  const std::vector<int32_t> prompt = tokens(520);
  Sequence plain = full();
  Sequence slack = sequence(entries(520, 32));
  EXPECT_EQ(copy(plain.prefill(prompt, {})), copy(slack.prefill(prompt, {})));
  EXPECT_FALSE(slack.last_prefill().is_cascade);
  for (const int32_t token : tokens(5, 3)) {
    EXPECT_EQ(copy(plain.decode(token)), copy(slack.decode(token)));
  }
}

// The statistics a policy is shown, against the attention rows of single-token decoding.
TEST_F(SequenceTest, WindowStatisticsEqualDecodedAttention) {
  load({});
  constexpr int32_t kWindow = 9;
  constexpr int32_t kPrompt = 517;
  const std::vector<int32_t> prompt = tokens(kPrompt);
  const DecoderHparams& hp = model_->hparams();
  const int32_t n_candidates = kPrompt - kWindow;
  KvPlan plan = entries(40, kWindow);
  plan.needs_prompt_attention = true;
  const auto policy = std::make_shared<ScriptedPolicy>(plan, latest);
  Sequence evicting(model_, backend_, policy);
  evicting.prefill(prompt, {});

  DecoderState state{model_, GraphArena(backend_),
                     KvStore(std::vector<KvLayerShape>(
                         hp.n_layer, {{hp.n_embd_head, hp.n_head_kv, GGML_TYPE_F16}, 0}))};
  // rows[il][h][r][n], r over all tokens of the prompt
  std::vector<std::vector<double>> sum(hp.n_layer);
  std::vector<std::vector<double>> mean(hp.n_layer);
  std::vector<double> entropy(hp.n_layer);
  for (int32_t il = 0; il < hp.n_layer; ++il) {
    sum[il].resize(static_cast<size_t>(hp.n_head_kv) * n_candidates);
    mean[il].resize(sum[il].size());
  }
  PassOutputs outputs;
  outputs.wants_probs = true;
  for (int32_t i = 0; i < kPrompt; ++i) {
    chunk_pass(state, std::span(prompt).subspan(i, 1), outputs);
    for (int32_t il = 0; il < hp.n_layer; ++il) {
      const auto* probs = static_cast<const float*>(outputs.probs[il]->data);
      for (int32_t h = 0; h < hp.n_head; ++h) {
        for (int32_t n = 0; n <= i && n < n_candidates; ++n) {
          const double a = probs[static_cast<size_t>(h) * (i + 1) + n];
          const size_t at = static_cast<size_t>(h / 2) * n_candidates + n;
          sum[il][at] += a / 2;
          if (i >= n_candidates) {
            mean[il][at] += a / 2 / kWindow;
            entropy[il] -= a * std::log(a + 1e-10);
          }
        }
      }
    }
  }
  for (int32_t il = 0; il < hp.n_layer; ++il) {
    const WindowStats& stats = policy->stats.at(il);
    EXPECT_NEAR(stats.entropy, entropy[il], 2e-3 * entropy[il]) << il;
    double total = 0;
    double wrong = 0;
    double wrong_sum = 0;
    for (size_t i = 0; i < mean[il].size(); ++i) {
      total += mean[il][i];
      wrong += std::abs(stats.mean[i] - mean[il][i]);
      wrong_sum += std::abs(policy->sums.at(il)[i] - sum[il][i]);
    }
    EXPECT_LT(wrong, 2e-3 * total) << il;  // F16 products round in another order
    EXPECT_LT(wrong_sum, 2e-3 * kPrompt * hp.n_head_kv) << il;
  }
}

TEST_F(SequenceTest, ATurnJudgedAloneLeavesOlderEntriesAlone) {
  load({});
  KvPlan plan = entries(50, 16);
  plan.judges_turns_alone = true;
  Sequence evicting = sequence(plan, scattered);
  evicting.prefill(tokens(200, 1), {});
  for (const int32_t token : tokens(7, 2)) evicting.decode(token);
  KvStore& kv = evicting.kv();
  ASSERT_EQ(kv.count(3), 57);
  std::vector<int32_t> before;
  before.reserve(57);
  for (int32_t slot = 0; slot < 57; ++slot) before.push_back(kv.position(3, 1, slot));
  const std::vector<int32_t> second = tokens(150, 3);
  const std::vector<float> got = copy(evicting.prefill(second, {}));
  EXPECT_EQ(evicting.n_past(), 357);
  EXPECT_EQ(kv.count(3), 107);
  std::set<int32_t> kept;
  for (int32_t slot = 0; slot < 107; ++slot) {
    if (slot < 57) {
      EXPECT_EQ(kv.position(3, 1, slot), before[slot]);
    } else {
      EXPECT_GE(kv.position(3, 1, slot), 207);
    }
    kept.insert(kv.position(3, 1, slot));
  }
  EXPECT_EQ(kept.size(), 107U);
  for (int32_t pos = 341; pos < 357; ++pos) EXPECT_TRUE(kept.contains(pos)) << pos;
  // The same turn without eviction, over the same older entries, gives the same logits.
  Sequence again = sequence(entries(50, 16), scattered);
  again.prefill(tokens(200, 1), {});
  for (const int32_t token : tokens(7, 2)) again.decode(token);
  std::vector<float> want = copy(again.extend_all(second));
  want.erase(want.begin(), want.end() - model_->hparams().n_vocab);
  EXPECT_LT(max_difference(got, want), 2e-3F);
}

// The layers' entries in the order of their positions, and what a turn's own tokens say about them.
TEST_F(SequenceTest, SecondTurnIsJudgedWithTheFirst) {
  constexpr int32_t kWindow = 16;
  constexpr int32_t kFirst = 200;
  for (const int32_t n_second : {150, 5}) {  // a turn may be shorter than its window
    load({});
    const DecoderHparams& hp = model_->hparams();
    const auto policy = std::make_shared<ScriptedPolicy>(entries(50, kWindow), scattered);
    Sequence evicting(model_, backend_, policy);
    evicting.prefill(tokens(kFirst, 1), {});
    for (const int32_t token : tokens(7, 2)) evicting.decode(token);
    KvStore& kv = evicting.kv();
    std::vector<std::vector<int32_t>> judged;  // positions, for each KV head of each layer
    for (int32_t i = 0; i < 2 * hp.n_layer; ++i) {
      std::vector<int32_t>& head = judged.emplace_back();
      for (int32_t slot = 0; slot < 57; ++slot) head.push_back(kv.position(i / 2, i % 2, slot));
      std::ranges::sort(head);
      for (int32_t n = 0; n < n_second; ++n) head.push_back(kFirst + 7 + n);
    }
    DecoderState twin{model_, GraphArena(backend_),
                      KvStore(std::vector<KvLayerShape>(
                          hp.n_layer, {{hp.n_embd_head, hp.n_head_kv, GGML_TYPE_F16}, 0}))};
    for (int32_t il = 0; il < hp.n_layer; ++il) twin.kv.restore_layer(il, kv.save_layer(il));
    twin.n_past = kFirst + 7;

    const std::vector<int32_t> second = tokens(n_second, 3);
    const std::vector<float> got = copy(evicting.prefill(second, {}));
    EXPECT_EQ(evicting.n_past(), kFirst + 7 + n_second);
    EXPECT_EQ(evicting.last_prefill().n_entries_before, int64_t{57} * hp.n_layer);
    EXPECT_EQ(evicting.last_prefill().n_entries_dropped, int64_t{7 + n_second} * hp.n_layer);
    const int32_t n_candidates = 57 + n_second - kWindow;
    for (int32_t i = 0; i < 2 * hp.n_layer; ++i) {
      std::vector<std::pair<float, int32_t>> ranked;
      ranked.reserve(n_candidates);
      for (int32_t n = 0; n < n_candidates; ++n) {
        ranked.emplace_back(-scattered(i / 2, i % 2, n), judged[i][n]);
      }
      std::ranges::stable_sort(ranked, {}, &std::pair<float, int32_t>::first);
      std::set<int32_t> want(judged[i].begin() + n_candidates, judged[i].end());
      for (int32_t n = 0; n < 50 - kWindow; ++n) want.insert(ranked[n].second);
      std::set<int32_t> kept;
      for (int32_t slot = 0; slot < 50; ++slot) kept.insert(kv.position(i / 2, i % 2, slot));
      ASSERT_EQ(kv.count(i / 2), 50);
      EXPECT_EQ(kept, want) << "layer " << i / 2 << " KV head " << i % 2;
    }

    // Chunk by chunk over the same entries, its last token on its own for its attention.
    PassOutputs outputs;
    chunk_pass(twin, std::span(second).first(n_second - 1), outputs);
    outputs.wants_probs = true;
    chunk_pass(twin, std::span(second).last(1), outputs);
    EXPECT_LT(max_difference(got, outputs.logits), 2e-3F);
    for (int32_t il = 0; il < hp.n_layer; ++il) {
      const int32_t n_slots = 57 + n_second;
      const auto* probs = static_cast<const float*>(outputs.probs[il]->data);
      for (int32_t g = 0; g < 2; ++g) {
        std::map<int32_t, float> attention;  // by position: mean of the two query heads
        for (int32_t slot = 0; slot < n_slots; ++slot) {
          const float* column = probs + static_cast<size_t>(2 * g) * n_slots + slot;
          attention[twin.kv.position(il, g, slot)] = (column[0] + column[n_slots]) / 2;
        }
        for (int32_t n = 0; n < n_candidates; ++n) {
          // F16 products round in another order.
          EXPECT_NEAR(policy->stats[il].last[static_cast<size_t>(g) * n_candidates + n],
                      attention[judged[il * 2 + g][n]], 2e-3F)
              << il << " " << g << " " << n;
        }
      }
    }
  }
}

TEST_F(SequenceTest, CompressedPartMayEndBeforeThePrompt) {
  load({});
  Sequence evicting = sequence(entries(50, 16));
  const std::vector<int32_t> prompt = tokens(230);
  evicting.prefill(prompt, {.n_compress = 200});
  EXPECT_EQ(evicting.n_past(), 230);
  EXPECT_EQ(evicting.kv().count(0), 80);
  EXPECT_EQ(evicting.last_prefill().n_entries_dropped, int64_t{150} * 7);
}

TEST_F(SequenceTest, StoppedPrefillLeavesTheSequenceAsBefore) {
  for (const char* arch : {"llama", "gemma3"}) {
    load({.arch = arch});
    for (const int32_t budget : {60, 4000}) {  // cascade, and chunk by chunk
      Sequence stopped = sequence(entries(budget, 16), scattered);
      Sequence plain = sequence(entries(budget, 16), scattered);
      for (Sequence* each : {&stopped, &plain}) each->prefill(tokens(700, 1), {});
      PrefillOptions options;
      options.progress = [](int64_t n_done, int64_t n_total) {
        if (n_done * 2 > n_total) throw Error("stop");
      };
      EXPECT_THROW(stopped.prefill(tokens(1200, 2), options), Error);
      EXPECT_EQ(stopped.n_past(), 700);
      EXPECT_EQ(copy(stopped.prefill(tokens(600, 3), {})), copy(plain.prefill(tokens(600, 3), {})))
          << arch << " " << budget;
    }
  }
}

TEST_F(SequenceTest, ReplacingDecodeHoldsTheCacheAtItsSize) {
  load({});
  for (const KvDecode mode :
       {KvDecode::kCake, KvDecode::kCakeOfficial, KvDecode::kTova, KvDecode::kEma}) {
    for (const int32_t every : {1, 5}) {
      KvPlan plan = entries(40, 8);
      plan.decode = mode;
      plan.decode_every = every;
      Sequence evicting = sequence(plan, scattered);
      evicting.prefill(tokens(100, 1), {});
      for (int32_t i = 0; i < 120; ++i) {
        evicting.decode(tokens(1, 50 + i)[0]);
        KvStore& kv = evicting.kv();
        for (int32_t il = 0; il < kv.n_layer(); ++il) {
          ASSERT_EQ(kv.count(il), 40 + (i + 1) % every);
          for (int32_t g = 0; g < 2; ++g) {
            std::set<int32_t> held;
            for (int32_t slot = 0; slot < kv.count(il); ++slot) {
              held.insert(kv.position(il, g, slot));
            }
            ASSERT_EQ(static_cast<int32_t>(held.size()), kv.count(il));
            for (int32_t back = 0; back < 8; ++back) ASSERT_TRUE(held.contains(100 + i - back));
          }
        }
      }
      EXPECT_EQ(evicting.n_evicted_in_decode(), int64_t{120} * 7);
    }
  }
}

TEST_F(SequenceTest, OrderOfEntriesDoesNotMatter) {
  load({});
  Sequence evicting = sequence(entries(60, 8), scattered);
  Sequence permuted = sequence(entries(60, 8), scattered);
  for (Sequence* each : {&evicting, &permuted}) each->prefill(tokens(300, 1), {.n_growth = 8});
  KvStore& kv = permuted.kv();
  for (int32_t il = 0; il < kv.n_layer(); ++il) {
    for (int32_t g = 0; g < 2; ++g) {  // slot 60 is free: a place to swap through
      for (int32_t slot = 0; slot < 20; ++slot) {
        kv.replace(il, g, 60, slot);
        kv.replace(il, g, slot, 59 - g - slot);
        kv.replace(il, g, 59 - g - slot, 60);
      }
    }
  }
  for (const int32_t token : tokens(4, 5)) {
    // ggml rounds probabilities to F16 for the product with V, and adds in slot order.
    EXPECT_LT(max_difference(evicting.decode(token), permuted.decode(token)), 2e-3F);
  }
}

TEST_F(SequenceTest, BudgetInBytesCountsEverything) {
  load({.arch = "gemma3"});
  KvPlan plan = entries(0, 16);
  plan.budget = {Budget::Kind::kBytes, 460'000};
  Sequence evicting = sequence(plan);
  evicting.prefill(tokens(400), {});
  EXPECT_LE(evicting.kv().n_held_bytes(), 460'000);
  EXPECT_GT(evicting.last_prefill().n_entries_dropped, 0);
  plan.budget.value = 440'000;
  Sequence small = sequence(plan);
  try {
    small.prefill(tokens(400), {});
    FAIL() << "a budget below the window was accepted";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("smallest budget"));
  }
  EXPECT_EQ(small.n_past(), 0);
}

// The peak comes when a layer has just been ranked: its prompt still stands in staging, its
// statistics, scores and order beside it, and every layer so far holds its share in pages.
TEST_F(SequenceTest, PeakFollowsTheFormula) {
  constexpr int32_t kLayers = 12;
  constexpr int32_t kPrompt = 1500;
  constexpr int32_t kWindow = 16;
  constexpr int32_t kBudget = 200;
  constexpr int32_t kCandidates = kPrompt - kWindow;
  constexpr int32_t kPage = KvPages::kPageEntries;
  load({.n_layer = kLayers});
  Sequence evicting = sequence(entries(kBudget, kWindow), scattered);
  evicting.prefill(tokens(kPrompt), {});
  const KvLayerShape& shape = evicting.kv().shape(0);
  const int64_t n_head_kv = shape.kv.n_head_kv;

  int64_t most_entries = 0;  // in pages, over all layers
  std::vector<int32_t> held;
  for (int32_t n_known = 1; n_known <= kLayers; ++n_known) {
    const std::vector<double> equal(n_known, 1);
    const std::vector<int32_t> shares =
        split_uniform({equal, int64_t{kBudget - kWindow} * kLayers, kCandidates, kLayers});
    held.push_back(kCandidates);
    int64_t n_entries = 0;
    for (int32_t il = 0; il < n_known; ++il) {
      held[il] = std::min(held[il], shares[il]);
      n_entries += (held[il] + kPage - 1) / kPage * kPage + kWindow;
    }
    most_entries = std::max(most_entries, n_entries);
  }
  // Mean, variance, last row and score in every head; the order of one.
  const int64_t number_bytes = 4 * (4 * n_head_kv + 1) * kCandidates;
  const int64_t staging_bytes = shape.kv.entry_bytes() * kPrompt;
  const int64_t peak = evicting.last_prefill().peak_kv_bytes;
  EXPECT_EQ(peak, shape.entry_bytes() * most_entries + staging_bytes + number_bytes);

  // Against (B + w L + S) entries, 12 B a head and token, and a page a head: each layer's heads end
  // in a page that is not full, which the formula has once; numbers take 4 B a head and a 4 B order
  // more, and staging has no positions.
  const int64_t page_bytes = shape.entry_bytes() * kPage;
  const int64_t formula =
      shape.entry_bytes() * (kBudget * kLayers + kPrompt) + 12 * n_head_kv * kPrompt + page_bytes;
  EXPECT_LE(peak, formula + (kLayers - 1) * page_bytes + 4 * kPrompt);
  EXPECT_GE(peak, formula - page_bytes - 4 * n_head_kv * kPrompt);
}

TEST_F(SequenceTest, RefusesBadPrompts) {
  load({});
  Sequence ours = full();
  EXPECT_THROW(ours.prefill({}, {}), Error);
  EXPECT_THROW(ours.prefill(std::vector<int32_t>{1, -1}, {}), Error);
  EXPECT_THROW(ours.prefill(std::vector<int32_t>{1, 320}, {}), Error);
  EXPECT_THROW(ours.decode(320), Error);
  EXPECT_EQ(ours.n_past(), 0);
}

}  // namespace
}  // namespace reprise
