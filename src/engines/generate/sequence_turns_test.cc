#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "support/scripted_sequence.h"

namespace reprise {
namespace {

using test::copy;
using test::entries;
using test::max_difference;
using test::scattered;
using test::ScriptedPolicy;
using SequenceTurns = test::ScriptedSequence;

TEST_F(SequenceTurns, ATurnJudgedAloneLeavesOlderEntriesAlone) {
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
TEST_F(SequenceTurns, SecondTurnIsJudgedWithTheFirst) {
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

}  // namespace
}  // namespace reprise
