#include "nets/prompt_copies.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <random>

#include "core/error.h"
#include "core/matmul_node.h"
#include "core/repacked_weights.h"
#include "nets/decoder.h"
#include "support/tiny_model.h"

namespace reprise {
namespace {

using Outcome = PromptCopyReport::Outcome;

constexpr double kF16Unit = 0x1p-11;   // unit roundoff
constexpr double kF16Least = 0x1p-25;  // half of the smallest value
constexpr double kUnit = 0x1p-24;
constexpr int32_t kMatrices = 2 * 7;  // of the model below

std::shared_ptr<const DecoderModel> model_of(ggml_type type) {
  const std::string path =
      testing::TempDir() + "reprise_prompt_copies_" + std::to_string(getpid()) + ".gguf";
  test::write_tiny_model({.type = type,
                          .n_embd = 256,
                          .n_layer = 2,
                          .n_ff = 512,
                          .n_head = 4,
                          .n_head_kv = 1,
                          .n_embd_head = 64},
                         path);
  auto model = DecoderModel::load(std::make_shared<GgufFile>(GgufFile::open(path)),
                                  {nullptr, WeightPlace::Host::kCopied});
  std::filesystem::remove(path);
  return model;
}

PromptCopies copies_of(const std::shared_ptr<const DecoderModel>& model, PromptForm form,
                       int32_t n_threads = 2, int64_t n_free_bytes = int64_t{1} << 30) {
  const Backend backend(n_threads);
  return with_prompt_copies(model, form, backend, n_free_bytes);
}

std::vector<float> values_of(const ggml_tensor* w) {
  std::vector<float> values(static_cast<size_t>(ggml_nelements(w)));
  ggml_get_type_traits(w->type)->to_float(w->data, values.data(), ggml_nelements(w));
  return values;
}

// How far Q8_0 may be from each of 32 values. The scale is a 127th of the largest one, rounded to
// F16, and its inverse is a product in F32.
double q8_0_bound(std::span<const float> block) {
  double most = 0;
  for (const float v : block) most = std::max(most, std::abs(static_cast<double>(v)));
  const double scale = most / 127;
  return scale * (0.5 + 127 * 4 * kUnit) + 127 * (scale * kF16Unit + kF16Least);
}

// y = W x [n_out, n_tokens] with the layer-0 matrix `member` as a pass of n_tokens reads it.
std::vector<float> product(const DecoderModel& model, ggml_tensor* DecoderLayer::*member,
                           WeightUse use, const std::vector<float>& x, int64_t n_tokens) {
  const Backend backend(2, use);
  GraphArena arena(backend);
  arena.begin();
  ggml_tensor* w = model.layer(0, n_tokens).*member;
  ggml_tensor* input = arena.input(GGML_TYPE_F32, w->ne[0], n_tokens);
  ggml_tensor* y = matmul_node(arena, w, input);
  ggml_set_output(y);
  ggml_build_forward_expand(arena.graph(), y);
  arena.allocate();
  std::ranges::copy(x, static_cast<float*>(input->data));
  arena.compute();
  const auto* values = static_cast<const float*>(y->data);
  return {values, values + ggml_nelements(y)};
}

std::vector<float> random_inputs(int64_t n) {
  std::mt19937 rng(7);
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<size_t>(n));
  for (float& v : x) v = normal(rng);
  return x;
}

TEST(WeightWord, IsKnownOrRefusedWithAllWords) {
  EXPECT_EQ(weight_word("repack").form, PromptForm::kRepacked);
  EXPECT_EQ(weight_word("expand=f32").use, WeightUse::kExpand);
  EXPECT_EQ(weight_word("as-is").form, PromptForm::kFile);
  try {
    weight_word("expand");
    FAIL();
  } catch (const Error& error) {
    for (const WeightWord& known : weight_words())
      EXPECT_NE(std::string(error.what()).find(known.word), std::string::npos) << known.word;
  }
}

TEST(PromptCopyType, IsChosenByTable) {
  using enum PromptForm;
  const std::tuple<PromptForm, ggml_type, ggml_type> rows[] = {
      {kFile, GGML_TYPE_Q6_K, GGML_TYPE_Q6_K},    {kByType, GGML_TYPE_Q6_K, GGML_TYPE_Q8_0},
      {kByType, GGML_TYPE_Q4_K, GGML_TYPE_Q4_K},  {kByType, GGML_TYPE_IQ2_XXS, GGML_TYPE_Q8_0},
      {kByType, GGML_TYPE_F16, GGML_TYPE_F16},    {kF16, GGML_TYPE_Q4_1, GGML_TYPE_F16},
      {kF16, GGML_TYPE_Q8_0, GGML_TYPE_F16},      {kF16, GGML_TYPE_BF16, GGML_TYPE_BF16},
      {kF16, GGML_TYPE_F32, GGML_TYPE_F32},       {kQ8_0, GGML_TYPE_Q4_1, GGML_TYPE_Q8_0},
      {kQ8_0, GGML_TYPE_Q8_0, GGML_TYPE_Q8_0},    {kQ8_0, GGML_TYPE_F16, GGML_TYPE_F16},
      {kRepacked, GGML_TYPE_Q4_0, GGML_TYPE_Q4_0}};
  for (const auto& [form, type, want] : rows)
    EXPECT_EQ(prompt_copy_type(form, type), want) << ggml_type_name(type);
}

TEST(PromptCopies, HoldEveryWeightWithinItsRounding) {
  for (const ggml_type type : {GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q4_K, GGML_TYPE_Q6_K}) {
    const auto model = model_of(type);
    for (const PromptForm form : {PromptForm::kF16, PromptForm::kQ8_0}) {
      const PromptCopies copies = copies_of(model, form);
      ASSERT_EQ(copies.report.outcome, Outcome::kMade);
      ASSERT_EQ(copies.report.types.size(), 1U);
      EXPECT_EQ(copies.report.types[0].n_matrices, kMatrices);
      int64_t n_bytes = 0;
      for (int32_t il = 0; il < 2; ++il) {
        for (ggml_tensor* DecoderLayer::*member : kLayerMatrices) {
          const ggml_tensor* from = model->layers()[il].*member;
          const ggml_tensor* to = copies.model->layer(il, 2).*member;
          EXPECT_EQ(copies.model->layer(il, 1).*member, from);
          ASSERT_EQ(to->type, form == PromptForm::kF16 ? GGML_TYPE_F16 : GGML_TYPE_Q8_0);
          n_bytes += static_cast<int64_t>(ggml_nbytes(to));
          const std::vector<float> want = values_of(from);
          const std::vector<float> got = values_of(to);
          for (size_t i = 0; i < want.size(); ++i) {
            const double bound = form == PromptForm::kF16
                                     ? std::abs(want[i]) * kF16Unit + kF16Least
                                     : q8_0_bound(std::span(want).subspan(i / 32 * 32, 32));
            ASSERT_NEAR(got[i], want[i], bound) << ggml_type_name(type) << " " << from->name << i;
          }
        }
      }
      EXPECT_EQ(copies.report.n_bytes, n_bytes);  // every matrix is a multiple of 64 bytes
    }
  }
}

// Against the F32 product of the file's own weights. The copies' weights differ by their rounding;
// Q8_0 rounds the inputs, too, in blocks of 32 by half a 127th of the largest.
TEST(PromptCopies, MultiplyWithinTheirRoundingOfF32) {
  constexpr int64_t kTokens = 40;
  const auto model = model_of(GGML_TYPE_Q4_1);
  const std::vector<float> x = random_inputs(256 * kTokens);
  const auto member = &DecoderLayer::ffn_up;
  const std::vector<float> weights = values_of(model->layers()[0].*member);
  const std::vector<float> want = product(*model, member, WeightUse::kExpand, x, kTokens);
  const auto q8_0 = copies_of(model, PromptForm::kQ8_0).model;
  const std::vector<float> got = product(*q8_0, member, WeightUse::kAuto, x, kTokens);
  ASSERT_EQ(got.size(), want.size());
  EXPECT_NE(got, want);
  const int64_t n_out = (model->layers()[0].*member)->ne[1];
  for (size_t i = 0; i < want.size(); ++i) {
    const auto w = std::span(weights).subspan(i % n_out * 256, 256);
    const auto v = std::span(x).subspan(i / n_out * 256, 256);
    double bound = 0;
    for (size_t b = 0; b < 256; b += 32) {
      const double dw = q8_0_bound(w.subspan(b, 32));
      const double dv = q8_0_bound(v.subspan(b, 32));
      for (size_t k = b; k < b + 32; ++k) {
        const double aw = std::abs(w[k]);
        const double av = std::abs(v[k]);
        bound += dw * av + (aw + dw) * dv + 2 * 256 * kUnit * aw * av;
      }
    }
    ASSERT_NEAR(got[i], want[i], bound) << i;
  }
}

TEST(PromptCopies, AreTheSameOnAnyNumberOfThreads) {
  const auto model = model_of(GGML_TYPE_Q4_K);
  const auto one = copies_of(model, PromptForm::kQ8_0, 1).model;
  const auto three = copies_of(model, PromptForm::kQ8_0, 3).model;
  for (ggml_tensor* DecoderLayer::*member : kLayerMatrices) {
    const ggml_tensor* a = one->layer(1, 2).*member;
    const ggml_tensor* b = three->layer(1, 2).*member;
    EXPECT_EQ(std::memcmp(a->data, b->data, ggml_nbytes(a)), 0) << a->name;
  }
}

TEST(PromptCopies, LeaveWhatIsPreciseEnough) {
  for (const auto& [type, form] : {std::pair(GGML_TYPE_Q8_0, PromptForm::kQ8_0),
                                   {GGML_TYPE_F16, PromptForm::kF16},
                                   {GGML_TYPE_F32, PromptForm::kQ8_0},
                                   {GGML_TYPE_Q4_K, PromptForm::kByType},
                                   {GGML_TYPE_F16, PromptForm::kRepacked}}) {
    const auto model = model_of(type);
    const PromptCopies copies = copies_of(model, form);
    EXPECT_EQ(copies.report.outcome, Outcome::kNone) << ggml_type_name(type);
    EXPECT_EQ(copies.model, model);
  }
}

TEST(PromptCopies, NeedMemoryThatIsFree) {
  const auto model = model_of(GGML_TYPE_Q6_K);
  const int64_t n_bytes = copies_of(model, PromptForm::kQ8_0).report.n_bytes;
  for (const auto& [form, n_least] :
       {std::pair(PromptForm::kQ8_0, n_bytes), {PromptForm::kByType, 4 * n_bytes}}) {
    EXPECT_EQ(copies_of(model, form, 1, n_least).report.outcome, Outcome::kMade);
    const PromptCopies none = copies_of(model, form, 1, n_least - 1);
    EXPECT_EQ(none.report.outcome, Outcome::kNoMemory);
    EXPECT_EQ(none.report.n_bytes, n_bytes);
    EXPECT_EQ(none.report.n_free_bytes, n_least - 1);
    EXPECT_EQ(none.model, model);
  }
}

// The scale of a block of Q4_0 is an F16 number, its values reach eight times as far.
TEST(PromptCopies, LeaveMatricesBeyondTheirRange) {
  const auto model = model_of(GGML_TYPE_Q4_0);
  ggml_tensor* w = model->layers()[1].wk;
  const ggml_fp16_t scale = ggml_fp32_to_fp16(60000);
  std::memcpy(w->data, &scale, sizeof(scale));
  std::memset(static_cast<std::byte*>(w->data) + sizeof(scale), 0, 1);  // -8 times the scale
  const PromptCopies f16 = copies_of(model, PromptForm::kF16);
  EXPECT_EQ(f16.report.types[0].n_matrices, kMatrices - 1);
  EXPECT_EQ(f16.model->layer(1, 2).wk, w);
  EXPECT_NE(f16.model->layer(0, 2).wk, model->layers()[0].wk);
  EXPECT_EQ(copies_of(model, PromptForm::kQ8_0).report.types[0].n_matrices, kMatrices);
}

// ggml rounds inputs to Q8_0 and multiplies integers.
TEST(PromptCopies, AreRepackedWhereGgmlHasAForm) {
  constexpr int64_t kTokens = 9;
  const auto model = model_of(GGML_TYPE_Q4_0);
  const auto member = &DecoderLayer::ffn_gate;
  const PromptCopies copies = copies_of(model, PromptForm::kRepacked);
  if (!has_repacked_form(model->layers()[0].ffn_gate)) {
    EXPECT_EQ(copies.report.outcome, Outcome::kNone);
    GTEST_SKIP() << "ggml repacks nothing on this CPU";
  }
  EXPECT_EQ(copies.report.types[0].n_matrices, kMatrices);
  EXPECT_TRUE(is_repacked(copies.model->layer(0, 2).ffn_gate));
  EXPECT_FALSE(is_repacked(copies.model->layer(0, 1).ffn_gate));
  const std::vector<float> x = random_inputs(256 * kTokens);
  const std::vector<float> weights = values_of(model->layers()[0].*member);
  const std::vector<float> got = product(*copies.model, member, WeightUse::kAuto, x, kTokens);
  const int64_t n_out = (model->layers()[0].*member)->ne[1];
  for (size_t i = 0; i < got.size(); ++i) {
    const auto w = std::span(weights).subspan(i % n_out * 256, 256);
    const auto v = std::span(x).subspan(i / n_out * 256, 256);
    double want = 0;
    double bound = 0;
    for (size_t k = 0; k < 256; ++k) {
      want += static_cast<double>(w[k]) * v[k];
      bound +=
          std::abs(w[k]) * (q8_0_bound(v.subspan(k / 32 * 32, 32)) + 256 * kUnit * std::abs(v[k]));
    }
    ASSERT_NEAR(got[i], want, bound) << i;
  }
}

// Layer 0 on x [256, n_tokens], its queries taken for what attention gives.
std::vector<float> layer_output(const DecoderModel& model, std::span<const float> x,
                                int64_t n_tokens) {
  const Backend backend(2);
  GraphArena arena(backend);
  arena.begin();
  ggml_tensor* input = arena.input(GGML_TYPE_F32, 256, n_tokens);
  ggml_tensor* q = decoder_products(arena, model, 0, input).q;
  ggml_tensor* y = decoder_layer_rest(arena, model, 0, input, q);
  ggml_set_output(y);
  ggml_build_forward_expand(arena.graph(), y);
  arena.allocate();
  std::copy_n(x.begin(), 256 * n_tokens, static_cast<float*>(input->data));
  arena.compute();
  const auto* values = static_cast<const float*>(y->data);
  return {values, values + ggml_nelements(y)};
}

// Single tokens read the file's weights bit for bit.
TEST(PromptCopies, AreForPassesOfSeveralTokens) {
  const auto model = model_of(GGML_TYPE_Q4_K);
  const auto copied = copies_of(model, PromptForm::kF16).model;
  const std::vector<float> x = random_inputs(256 * 3);
  EXPECT_EQ(layer_output(*copied, x, 1), layer_output(*model, x, 1));
  EXPECT_NE(layer_output(*copied, x, 3), layer_output(*model, x, 3));
  EXPECT_EQ(copied->output(), model->output());
  EXPECT_EQ(copied->n_weight_bytes(), model->n_weight_bytes());
}

}  // namespace
}  // namespace reprise
