#include "engines/generate/sequence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "core/error.h"
#include "support/scripted_sequence.h"

namespace reprise {
namespace {

using test::copy;
using test::entries;
using test::latest;
using test::scattered;
using test::ScriptedPolicy;
using SequenceTest = test::ScriptedSequence;

TEST_F(SequenceTest, QuantisedCachesStayNear) {
  load({.n_embd = 128, .n_embd_head = 32});
  const std::vector<int32_t> prompt = tokens(300, 7);
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

TEST_F(SequenceTest, SlackBudgetIsTheFullCacheBitwise) {
  load({});
  const std::vector<int32_t> prompt = tokens(520, 7);
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
  const std::vector<int32_t> prompt = tokens(kPrompt, 7);
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

TEST_F(SequenceTest, CompressedPartMayEndBeforeThePrompt) {
  load({});
  Sequence evicting = sequence(entries(50, 16));
  const std::vector<int32_t> prompt = tokens(230, 7);
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

TEST_F(SequenceTest, BudgetInBytesCountsEverything) {
  load({.arch = "gemma3"});
  KvPlan plan = entries(0, 16);
  plan.budget = {Budget::Kind::kBytes, 460'000};
  Sequence evicting = sequence(plan);
  evicting.prefill(tokens(400, 7), {});
  EXPECT_LE(evicting.kv().n_held_bytes(), 460'000);
  EXPECT_GT(evicting.last_prefill().n_entries_dropped, 0);
  plan.budget.value = 440'000;
  Sequence small = sequence(plan);
  try {
    small.prefill(tokens(400, 7), {});
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
  evicting.prefill(tokens(kPrompt, 7), {});
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
