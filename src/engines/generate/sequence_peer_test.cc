#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "core/op_trace.h"
#include "engines/generate/libllama_peer.h"
#include "support/scripted_sequence.h"

namespace reprise {
namespace {

using test::copy;
using test::entries;
using test::latest;
using test::max_difference;
using test::scattered;
using test::ScriptedPolicy;
using SequenceBesidePeer = test::ScriptedSequence;

class SequenceAgainstPeer : public test::ScriptedSequence,
                            public ::testing::WithParamInterface<std::string> {};

// F32 weights, F32 cache, no flash: only the order of additions differs.
TEST_P(SequenceAgainstPeer, F32LogitsEqualLibllama) {
  load({.arch = GetParam()});
  KvPlan plan;
  plan.type = KvType::kF32;
  Sequence ours = sequence(plan);
  LibllamaPeer peer(path_, {.type_kv = GGML_TYPE_F32, .n_threads = 1});
  const std::vector<int32_t> prompt = tokens(700, 7);
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
  const std::vector<int32_t> all = tokens(300, 7);
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
  const std::vector<int32_t> prompt = tokens(600, 7);
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
  const std::vector<int32_t> prompt =
      tokens(1033, 7);  // the last chunk alone would be shorter than w
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

// What the cascade holds decides what decoding sees: libllama with the same positions removed
// agrees.
TEST_F(SequenceBesidePeer, DecodesLikeLibllamaWithoutTheDroppedPositions) {
  load({});
  const std::vector<int32_t> prompt = tokens(700, 7);
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
    max = test::larger(max, max_difference(evicting.decode(token), want));
    unlike_full = test::larger(unlike_full, max_difference(plain.decode(token), want));
  }
  EXPECT_LT(max, 2e-2F);
  EXPECT_GT(unlike_full, 0.1F);  // the positions did matter
}

}  // namespace
}  // namespace reprise
