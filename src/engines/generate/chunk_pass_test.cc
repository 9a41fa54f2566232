#include "engines/generate/chunk_pass.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "support/tiny_model_test.h"

namespace reprise {
namespace {

class ChunkPass : public test::TinyModelTest {
 protected:
  // With a cache in F32, which is read back without rounding.
  DecoderState state() const {
    const DecoderHparams& hp = model_->hparams();
    return {model_, GraphArena(backend_),
            KvStore(std::vector<KvLayerShape>(hp.n_layer,
                                              {{hp.n_embd_head, hp.n_head_kv, GGML_TYPE_F32}, 0}))};
  }
  std::vector<int32_t> tokens(int32_t n) const { return TinyModelTest::tokens(n, 5); }
};

// What attention gives is the sum of the held values weighted by its probabilities: in every layer
// and head, token after token over a kept graph, so no later node has taken its memory.
TEST_F(ChunkPass, AttentionIsTheWeightedSumOfTheValues) {
  load({.arch = "qwen3"});
  const DecoderHparams& hp = model_->hparams();
  const int32_t d = hp.n_embd_head;
  DecoderState with = state();
  PassOutputs outputs;
  const std::vector<int32_t> all = tokens(600);
  chunk_pass(with, std::span(all).first(500), outputs);
  outputs.wants_probs = true;
  outputs.wants_attention = true;
  for (int32_t i = 500; i < 600; i += 33) {
    chunk_pass(with, std::span(all).subspan(i, 1), outputs);
    ASSERT_EQ(outputs.attention.size(), static_cast<size_t>(d) * hp.n_head * hp.n_layer);
    for (int32_t il = 0; il < hp.n_layer; ++il) {
      const int32_t n = with.kv.count(il);
      std::vector<int32_t> slots(n);
      std::iota(slots.begin(), slots.end(), 0);
      std::vector<float> k(static_cast<size_t>(n) * d);
      std::vector<float> v(k.size());
      for (int32_t h = 0; h < hp.n_head; ++h) {
        const int32_t g = h / (hp.n_head / hp.n_head_kv);
        with.kv.block(il).gather(g, slots, reinterpret_cast<std::byte*>(k.data()),
                                 reinterpret_cast<std::byte*>(v.data()));
        const float* probs =
            static_cast<const float*>(outputs.probs[il]->data) + static_cast<size_t>(h) * n;
        const float* got = outputs.attention.data() + static_cast<size_t>(il * hp.n_head + h) * d;
        for (int32_t x = 0; x < d; ++x) {
          double want = 0;
          double magnitude = 0;
          for (int32_t slot = 0; slot < n; ++slot) {
            const double term = double{probs[slot]} * v[static_cast<size_t>(slot) * d + x];
            want += term;
            magnitude += std::abs(term);
          }
          // Each of n products and sums, and the probabilities' exponentials, rounds by 2^-24.
          ASSERT_NEAR(got[x], want, (n + 8) * 0x1p-24 * magnitude) << il << " " << h << " " << x;
        }
      }
    }
  }
}

// Keeping it changes nothing else, and passes of several tokens leave the last one's.
TEST_F(ChunkPass, KeptAttentionLeavesLogitsAlone) {
  for (const char* arch : {"llama", "gemma3"}) {
    load({.arch = arch});
    DecoderState with = state();
    DecoderState without = state();
    PassOutputs kept;
    PassOutputs plain;
    const std::vector<int32_t> all = tokens(60);
    kept.wants_attention = true;
    chunk_pass(with, std::span(all).first(40), kept);
    chunk_pass(without, std::span(all).first(40), plain);
    EXPECT_TRUE(kept.attention.empty());
    for (int32_t i = 40; i < 50; ++i) {
      chunk_pass(with, std::span(all).subspan(i, 1), kept);
      chunk_pass(without, std::span(all).subspan(i, 1), plain);
      ASSERT_TRUE(std::ranges::equal(kept.logits, plain.logits)) << arch << " " << i;
      EXPECT_FALSE(kept.attention.empty());
    }
    EXPECT_TRUE(plain.attention.empty());
    const std::vector<float> last = kept.attention;
    chunk_pass(with, std::span(all).subspan(50, 10), kept);
    EXPECT_EQ(kept.attention, last);
    kept.wants_attention = false;
    chunk_pass(with, std::span(all).first(1), kept);
    EXPECT_EQ(kept.attention, last);
  }
}

// Time is counted where probabilities were asked for, and no more than the pass can have taken.
TEST_F(ChunkPass, CountsTheTimeOfProbabilities) {
  load({});
  DecoderState ours = state();
  PassOutputs outputs;
  const std::vector<int32_t> all = tokens(401);
  chunk_pass(ours, std::span(all).first(400), outputs);
  chunk_pass(ours, std::span(all).first(1), outputs);
  EXPECT_EQ(outputs.probs_s, 0);
  outputs.wants_probs = true;
  const auto start = std::chrono::steady_clock::now();
  chunk_pass(ours, std::span(all).first(1), outputs);
  const double pass_s =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  EXPECT_GT(outputs.probs_s, 0);
  EXPECT_LT(outputs.probs_s, pass_s);
}

}  // namespace
}  // namespace reprise
