// The decoder out of ggml's own operations alone, which is what runs on a GPU, against the form
// with our kernels. Once where the CPU sees the memory, once where it does not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "engines/generate/entry_cost.h"
#include "engines/generate/libllama_peer.h"
#include "engines/generate/sequence.h"
#include "policies/registry.h"
#include "support/distant_backend.h"
#include "support/evicting_sequence.h"
#include "support/logits.h"
#include "support/scripted_policy.h"

namespace reprise {
namespace {

using test::copy;
using test::max_difference;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

class PlainForm : public test::TinyModelTest {
 protected:
  Backend plain_{2, WeightUse::kExpand, {Device::Kind::kGgmlCpu}};

  Sequence sequence(const Backend& backend, const KvPlan& plan) const {
    return {
        model_, backend,
        std::make_shared<test::ScriptedPolicy>(plan, [](int32_t, int32_t, int32_t) { return 0; })};
  }
  Sequence sequence(const Backend& backend, const std::string& spec) const {
    return {model_, backend, std::shared_ptr<const KvPolicy>(make_kv_policy(spec))};
  }
  // What the order of additions alone does to logits: in our own form, between chunks and single
  // tokens. Less than a thousandth counts as that.
  float order_noise(const KvPlan& plan, std::span<const int32_t> tokens) const {
    Sequence in_chunks = sequence(backend_, plan);
    Sequence by_one = sequence(backend_, plan);
    const auto n_decoded = static_cast<int32_t>(tokens.size()) - 1;
    const float noise = max_difference(read(by_one, tokens, n_decoded), read(in_chunks, tokens, 0));
    EXPECT_LT(noise, 5e-3F);  // as in SequenceAgainstPeer.F32LogitsEqualLibllama
    return std::max(1e-3F, 2 * noise);
  }
  // Logits of all tokens, the last n_decoded of them one at a time.
  static std::vector<float> read(Sequence& sequence, std::span<const int32_t> tokens,
                                 int32_t n_decoded) {
    std::vector<float> all = copy(sequence.extend_all(tokens.first(tokens.size() - n_decoded)));
    for (const int32_t token : tokens.last(n_decoded)) {
      const std::span<const float> logits = sequence.decode(token);
      all.insert(all.end(), logits.begin(), logits.end());
    }
    return all;
  }
};

class PlainFormOf : public PlainForm, public ::testing::WithParamInterface<std::string> {};

// F32 weights and an F32 cache: only the order of additions differs. The prompt is longer than what
// a sliding-window layer has room for, so that its entries move, and padding is part of every pass.
TEST_P(PlainFormOf, EqualsOursInF32) {
  load({.arch = GetParam()});
  KvPlan plan;
  plan.type = KvType::kF32;
  const std::vector<int32_t> prompt = tokens(1330, 7);
  Sequence ours = sequence(backend_, plan);
  Sequence plain = sequence(plain_, plan);
  EXPECT_LT(max_difference(read(plain, prompt, 20), read(ours, prompt, 20)),
            order_noise(plan, prompt));
  EXPECT_EQ(plain.kv().capacity(0) % 256, 0);
}

// With an F16 cache ggml rounds queries to F16 too, and for few tokens the sums of values as well.
// The scale of that is the distance of libllama's flash attention, in batches and token by token,
// from its other one.
TEST_P(PlainFormOf, EqualsOursUpToTheRoundingOfQueries) {
  load({.arch = GetParam()});
  const std::vector<int32_t> prompt = tokens(600, 7);
  LibllamaPeer peer(path_, {.n_threads = 1});
  LibllamaPeer flash(path_, {.is_flash = true, .n_threads = 1});
  LibllamaPeer by_one(path_, {.is_flash = true, .n_ubatch = 1, .n_threads = 1});
  const std::vector<float> want = peer.extend_all(prompt);
  const float noise = 2 * std::max(max_difference(flash.extend_all(prompt), want),
                                   max_difference(by_one.extend_all(prompt), want));
  EXPECT_LT(noise, 0.1F * *std::ranges::max_element(want));
  Sequence ours = sequence(backend_, KvPlan{});
  Sequence plain = sequence(plain_, KvPlan{});
  EXPECT_LT(max_difference(read(plain, prompt, 10), read(ours, prompt, 10)), noise);
}

std::vector<int32_t> sorted_positions(Sequence& sequence, int32_t il, int32_t g) {
  std::vector<int32_t> out = test::positions(sequence.kv(), il, g);
  std::sort(out.begin(), out.end());
  return out;
}

// A cascade whose statistics are measured between the graphs keeps what the one inside them keeps:
// scores that differ in their last bits only choose the same entries, though neighbours among these
// may change places.
TEST_P(PlainFormOf, KeepsWhatOursKeeps) {
  load({.arch = GetParam()});
  KvPlan f32;
  f32.type = KvType::kF32;
  const float noise = order_noise(f32, tokens(700, 1));
  for (const char* spec :
       {"cake:budget=96,window=16,type=f32", "snapkv:budget=80,window=16,type=f32"}) {
    Sequence ours = sequence(backend_, spec);
    Sequence plain = sequence(plain_, spec);
    for (const uint32_t turn : {1U, 2U}) {  // the second one has older entries in front
      const std::vector<int32_t> prompt = tokens(700, turn);
      const std::vector<float> want = copy(ours.prefill(prompt, {}));
      EXPECT_LT(max_difference(plain.prefill(prompt, {}), want), noise) << spec;
      ASSERT_TRUE(plain.last_prefill().is_cascade);
      EXPECT_EQ(plain.last_prefill().kept, ours.last_prefill().kept) << spec;
      for (const int32_t token : tokens(5, turn + 10)) {
        const std::vector<float> next = copy(ours.decode(token));
        EXPECT_LT(max_difference(plain.decode(token), next), noise) << spec;
      }
    }
    for (int32_t il = 0; il < model_->hparams().n_layer; ++il) {
      ASSERT_EQ(plain.kv().count(il), ours.kv().count(il));
      for (int32_t g = 0; g < model_->hparams().n_head_kv; ++g) {
        EXPECT_EQ(sorted_positions(plain, il, g), sorted_positions(ours, il, g))
            << spec << " layer " << il << " head " << g;
      }
    }
  }
}

// The same bits from a device whose memory nobody but ggml's copies and our kernels may touch.
TEST_P(PlainFormOf, RunsOnADeviceWithMemoryOfItsOwn) {
  // Seven layers: a whole period of Gemma 3. Heads of 32 values take every cache type.
  test::write_tiny_model({.arch = GetParam(), .n_embd_head = 32}, path_);
  const auto file = std::make_shared<GgufFile>(GgufFile::open(path_));
  model_ = DecoderModel::load(file);
  const Backend distant(2, test::start_distant_backend(2), test::distant_kernels());
  ASSERT_FALSE(distant.is_host());
  const auto there = DecoderModel::load(file, {distant.buffer_type()});
  EXPECT_EQ(there->n_weight_bytes(), model_->n_weight_bytes());
  for (const char* spec : {"full", "full:type=q8_0", "cake:budget=96,window=16",
                           "cake:budget=96,window=16,type=q8_0", "streaming:budget=80"}) {
    const std::shared_ptr<const KvPolicy> policy = make_kv_policy(spec);
    Sequence here(model_, plain_, policy);
    Sequence away(there, distant, policy);
    for (const uint32_t turn : {1U, 2U}) {
      const std::vector<int32_t> prompt = tokens(600, turn);
      EXPECT_EQ(copy(away.prefill(prompt, {})), copy(here.prefill(prompt, {}))) << spec;
      for (const int32_t token : tokens(5, turn + 10)) {
        EXPECT_EQ(copy(away.decode(token)), copy(here.decode(token))) << spec;
      }
    }
    EXPECT_EQ(away.save().layers, here.save().layers) << spec;
    Sequence moved(there, distant, policy);
    moved.restore(here.save());
    EXPECT_EQ(copy(moved.decode(3)), copy(here.decode(3))) << spec;
  }
  EXPECT_GE(measure_entry_cost(*there, distant, {32, 2, GGML_TYPE_F16}), 0);
}

INSTANTIATE_TEST_SUITE_P(Architectures, PlainFormOf,
                         ::testing::Values("llama", "qwen2", "qwen3", "gemma3"),
                         [](const auto& info) { return info.param; });

TEST_F(PlainForm, QuantisedCachesStayNear) {
  load({.n_embd = 128, .n_embd_head = 32});
  const std::vector<int32_t> prompt = tokens(300, 3);
  for (const KvType type : {KvType::kQ8_0, KvType::kQ4_0}) {
    KvPlan plan;
    plan.type = type;
    Sequence exact = sequence(backend_, KvPlan{});
    Sequence ours = sequence(backend_, plan);
    Sequence plain = sequence(plain_, plan);
    const std::vector<float> f16 = read(exact, prompt, 5);
    const std::vector<float> want = read(ours, prompt, 5);
    const std::vector<float> got = read(plain, prompt, 5);
    double wrong = 0;
    double of_cache = 0;
    for (size_t i = 0; i < want.size(); ++i) {
      wrong += (got[i] - want[i]) * (got[i] - want[i]);
      of_cache += (want[i] - f16[i]) * (want[i] - f16[i]);
    }
    // ggml rounds the queries to 8 bits as well, no more coarsely than the cache the keys.
    EXPECT_GT(wrong, 0);
    EXPECT_LT(wrong, of_cache) << static_cast<int>(type);
  }
}

TEST_F(PlainForm, StateMovesBetweenTheForms) {
  load({.arch = "gemma3"});
  KvPlan plan;
  plan.type = KvType::kF32;
  Sequence plain = sequence(plain_, plan);
  Sequence ours = sequence(backend_, plan);
  Sequence own = sequence(backend_, plan);
  plain.extend_all(tokens(333, 1));
  own.extend_all(tokens(333, 1));
  ours.restore(plain.save());
  EXPECT_EQ(ours.save().layers, plain.save().layers);
  Sequence again = sequence(plain_, plan);
  again.restore(ours.save());
  float moved = 0;
  float noise = 0;  // of the forms, each over entries of its own
  for (const int32_t token : tokens(5, 2)) {
    const std::vector<float> want = copy(plain.decode(token));
    EXPECT_EQ(copy(again.decode(token)), want);
    moved = test::larger(moved, max_difference(ours.decode(token), want));
    noise = test::larger(noise, max_difference(own.decode(token), want));
  }
  EXPECT_LT(moved, 2 * noise);
  EXPECT_LT(noise, 5e-3F);  // as in SequenceAgainstPeer.F32LogitsEqualLibllama
}

TEST_F(PlainForm, RefusesPoliciesThatMeasureInsideGraphs) {
  load({});
  EXPECT_THAT([&] { sequence(plain_, "cake:budget=64,decode=tova"); },
              ThrowsMessage<Error>(HasSubstr("decode=grow")));
  EXPECT_THAT([&] { sequence(plain_, "h2o:budget=64"); },
              ThrowsMessage<Error>(HasSubstr("--device cpu")));
  EXPECT_NO_THROW(sequence(plain_, "full"));
}

}  // namespace
}  // namespace reprise
