#include "nets/decoder_model.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "core/backend.h"
#include "core/error.h"
#include "ggml-cpu.h"
#include "nets/decoder.h"
#include "support/tiny_model.h"

namespace reprise {
namespace {

using test::TinyModel;
using test::TinyTensor;
using ::testing::HasSubstr;

// The bytes of a tiny model's file.
std::vector<char> bytes_of(const TinyModel& model) {
  const std::string path =
      testing::TempDir() + "reprise_decoder_model_" + std::to_string(getpid()) + ".gguf";
  test::write_tiny_model(model, path);
  std::vector<char> bytes(std::filesystem::file_size(path));
  std::ifstream(path, std::ios::binary).read(bytes.data(), static_cast<int64_t>(bytes.size()));
  std::filesystem::remove(path);
  return bytes;
}

std::shared_ptr<const DecoderModel> load(std::span<const char> bytes) {
  return DecoderModel::load(
      std::make_shared<GgufFile>(GgufFile::parse("x.gguf", std::as_bytes(bytes))));
}

std::string fault_of(std::span<const char> bytes) {
  try {
    load(bytes);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

struct Refusal {
  TinyModel model;
  std::string fault;
};

TinyModel with_count(const std::string& key, uint32_t value, const std::string& arch = "llama") {
  TinyModel model{.arch = arch, .n_layer = 1};
  model.edit_metadata = [=](gguf_context* file) { gguf_set_val_u32(file, key.c_str(), value); };
  return model;
}
TinyModel with_real(const std::string& key, float value, const std::string& arch = "llama") {
  TinyModel model{.arch = arch, .n_layer = 1};
  model.edit_metadata = [=](gguf_context* file) { gguf_set_val_f32(file, key.c_str(), value); };
  return model;
}
TinyModel with_text(const std::string& key, const std::string& value) {
  TinyModel model{.n_layer = 1};
  model.edit_metadata = [=](gguf_context* file) {
    gguf_set_val_str(file, key.c_str(), value.c_str());
  };
  return model;
}
TinyModel with_flag(const std::string& key, bool value) {
  TinyModel model{.n_layer = 1};
  model.edit_metadata = [=](gguf_context* file) { gguf_set_val_bool(file, key.c_str(), value); };
  return model;
}
TinyModel without_key(const std::string& key) {
  TinyModel model{.n_layer = 1};
  model.edit_metadata = [=](gguf_context* file) { gguf_remove_key(file, key.c_str()); };
  return model;
}
TinyModel with_tensor(const std::string& name, const std::function<void(TinyTensor&)>& edit,
                      const std::string& arch = "llama") {
  TinyModel model{.arch = arch, .n_layer = 1};
  model.edit_tensor = [=](TinyTensor& tensor) {
    if (tensor.name == name) edit(tensor);
    return true;
  };
  return model;
}
TinyModel without_tensor(const std::string& name, const std::string& arch = "llama") {
  TinyModel model{.arch = arch, .n_layer = 1};
  model.edit_tensor = [=](const TinyTensor& tensor) { return tensor.name != name; };
  return model;
}

void expect_refusals(const std::vector<Refusal>& rows) {
  for (const Refusal& row : rows) {
    const std::string fault = fault_of(bytes_of(row.model));
    EXPECT_THAT(fault, HasSubstr("x.gguf: "));
    EXPECT_THAT(fault, HasSubstr(row.fault));
  }
}

TEST(DecoderModel, RefusesMetadataByTable) {
  TinyModel split_heads{.n_layer = 1};  // key_length follows from n_embd then
  split_heads.edit_metadata = [](gguf_context* file) {
    gguf_remove_key(file, "llama.attention.key_length");
    gguf_set_val_u32(file, "llama.attention.head_count", 3);
    gguf_set_val_u32(file, "llama.attention.head_count_kv", 3);
  };
  TinyModel one_value_heads = split_heads;
  one_value_heads.edit_metadata = [](gguf_context* file) {
    gguf_remove_key(file, "llama.attention.key_length");
    gguf_set_val_u32(file, "llama.attention.head_count", 64);
  };
  TinyModel odd_heads{.n_layer = 1, .n_embd_head = 17};
  odd_heads.edit_metadata = [](gguf_context* file) {
    gguf_remove_key(file, "llama.rope.dimension_count");
  };
  TinyModel listed = split_heads;
  listed.edit_metadata = [](gguf_context* file) {
    const int32_t counts[] = {4, 4};
    gguf_set_arr_data(file, "llama.attention.head_count", GGUF_TYPE_INT32, counts, 2);
  };
  const std::string a = "llama.";
  expect_refusals({
      {without_key("general.architecture"), "'general.architecture' is missing"},
      {with_text("general.architecture", "mamba"), "architecture 'mamba' is not built in"},
      {with_text("general.architecture", "\x1B[2J"), "architecture '\\x1B[2J'"},
      {with_count("split.count", 3), "is one of 3 files of a split model"},
      {without_key(a + "context_length"), "'llama.context_length' is missing"},
      {with_text(a + "context_length", "long"), "'llama.context_length' is not an integer"},
      {with_count(a + "context_length", 0), "llama.context_length is 0"},
      {with_count(a + "embedding_length", 0), "llama.embedding_length is 0"},
      {with_count(a + "embedding_length", 0xFFFFFFFF), "llama.embedding_length is 4294967295"},
      {with_count(a + "block_count", 0), "llama.block_count is 0"},
      {with_count(a + "block_count", 1025), "llama.block_count is 1025"},
      {with_count(a + "block_count", 2), "'blk.1.attn_norm.weight' is missing (2 layers"},
      {with_count(a + "feed_forward_length", 0), "llama.feed_forward_length is 0"},
      {with_count(a + "attention.head_count", 0), "llama.attention.head_count is 0"},
      {listed, "'llama.attention.head_count' is not an integer"},
      {with_count(a + "attention.head_count_kv", 0), "head_count_kv is 0, expected 1 to 4"},
      {with_count(a + "attention.head_count_kv", 5), "head_count_kv is 5, expected 1 to 4"},
      {with_count(a + "attention.head_count_kv", 3), "4 query heads cannot share 3 KV heads"},
      {with_count(a + "attention.key_length", 1), "key_length is 1, expected 2 to 1024"},
      {with_count(a + "attention.key_length", 1025), "key_length is 1025"},
      {with_count(a + "attention.value_length", 8), "keys and values of different lengths"},
      {split_heads, "n_embd 64 is no multiple of 3 heads"},
      {one_value_heads, "gives a length of 1, expected 2 to 1024"},
      {with_count(a + "expert_count", 8), "mixture-of-experts layers are not built in"},
      {with_flag(a + "attention.causal", false), "is an embedding model"},
      {without_key(a + "attention.layer_norm_rms_epsilon"), "rms_epsilon' is missing"},
      {with_real(a + "attention.layer_norm_rms_epsilon", 0), "rms_epsilon is 0"},
      {with_real(a + "attention.layer_norm_rms_epsilon", NAN), "rms_epsilon is nan"},
      {with_count(a + "rope.dimension_count", 18), "dimension_count is 18, expected 2 to 16"},
      {with_count(a + "rope.dimension_count", 15), "RoPE constants (llama.rope.*)"},
      {odd_heads, "RoPE constants (llama.rope.*)"},
      {with_real(a + "rope.freq_base", 0), "RoPE constants (llama.rope.*)"},
      {with_real(a + "rope.freq_base", INFINITY), "RoPE constants (llama.rope.*)"},
      {with_real(a + "rope.scaling.attn_factor", NAN), "RoPE constants (llama.rope.*)"},
      {with_text(a + "rope.scaling.type", "longrope"), "RoPE scaling 'longrope'"},
      {with_count(a + "rope.scaling.original_context_length", 0), "context_length is 0"},
      {with_count(a + "rope.scaling.original_context_length", 1U << 31), "is 2147483648"},
      {with_count("gemma3.attention.sliding_window", 1U << 31, "gemma3"), "is 2147483648"},
      {with_count("gemma3.attention.sliding_window_pattern", 0, "gemma3"), "_pattern is 0"},
      {with_real("gemma3.final_logit_softcapping", 30, "gemma3"), "soft-capped logits"},
  });
}

TEST(DecoderModel, RefusesTensorsByTable) {
  const auto longer = [](TinyTensor& tensor) { tensor.ne0 += 32; };
  const auto wider = [](TinyTensor& tensor) { tensor.ne1 += 1; };
  const auto typed = [](ggml_type type) {
    return [type](TinyTensor& tensor) { tensor.type = type; };
  };
  const auto named = [](const std::string& name) {
    return [name](TinyTensor& tensor) { tensor.name = name; };
  };
  std::vector<Refusal> rows = {
      {with_tensor("token_embd.weight", longer), "'token_embd.weight' has shape [96, 320, 1, 1]"},
      {with_tensor("token_embd.weight", wider), "'output.weight' has shape"},
      {with_tensor("blk.0.ffn_norm.weight", typed(GGML_TYPE_F16)), "has type f16, expected f32"},
      {with_tensor("blk.0.attn_q.bias", typed(GGML_TYPE_F16), "qwen2"),
       "has type f16, expected f32"},
      // A bias of the feed-forward, as some fine-tunes have, and a tensor of another architecture.
      {with_tensor("output.weight", named("blk.0.ffn_up.bias")), "'blk.0.ffn_up.bias' is none of"},
      {with_tensor("output.weight", named("\x1B[2J")), "tensor '\\x1B[2J' is none of"},
      {with_tensor("blk.0.attn_q_norm.weight", named("rope_freqs.weight"), "qwen3"),
       "'rope_freqs.weight' has shape [16, 1, 1, 1], expected [8, 1, 1, 1]"},
  };
  for (const std::string name :
       {"token_embd.weight", "output_norm.weight", "blk.0.attn_q.weight", "blk.0.attn_k.weight",
        "blk.0.attn_v.weight", "blk.0.attn_output.weight", "blk.0.ffn_gate.weight",
        "blk.0.ffn_up.weight", "blk.0.ffn_down.weight"}) {
    rows.push_back({without_tensor(name), "tensor '" + name + "' is missing"});
    rows.push_back({with_tensor(name, longer), "' has shape ["});
  }
  for (const std::string name :
       {"blk.0.attn_q_norm.weight", "blk.0.attn_k_norm.weight", "blk.0.post_attention_norm.weight",
        "blk.0.post_ffw_norm.weight"}) {
    rows.push_back({without_tensor(name, "gemma3"), "tensor '" + name + "' is missing"});
  }
  // Types that hold no weights: ggml would abort at the first product.
  for (const ggml_type type :
       {GGML_TYPE_I8, GGML_TYPE_I16, GGML_TYPE_I32, GGML_TYPE_I64, GGML_TYPE_F64, GGML_TYPE_Q8_1}) {
    rows.push_back({with_tensor("token_embd.weight", typed(type)), "which holds no weights"});
    rows.push_back({with_tensor("blk.0.ffn_up.weight", typed(type)), "which holds no weights"});
  }
  expect_refusals(rows);
  TinyModel partly = with_count("qwen3.rope.dimension_count", 8, "qwen3");
  partly.edit_tensor = [](TinyTensor& tensor) {
    if (tensor.name != "blk.0.attn_q_norm.weight") return true;
    tensor.name = "rope_freqs.weight";
    tensor.ne0 = 4;
    return true;
  };
  EXPECT_THAT(fault_of(bytes_of(partly)),
              HasSubstr("'rope_freqs.weight' for heads of 16 values of which 8 are rotated"));
  // Fewer layers declared than the file has.
  TinyModel two{.n_layer = 2};
  two.edit_metadata = [](gguf_context* file) { gguf_set_val_u32(file, "llama.block_count", 1); };
  EXPECT_THAT(fault_of(bytes_of(two)), HasSubstr("'blk.1.attn_norm.weight' is none of"));
}

// Logits of the last of three tokens: the kit's parts without a KV store.
std::vector<float> logits_of(const DecoderModel& model) {
  constexpr int32_t kTokens[] = {3, 0, 2};
  constexpr int32_t kPositions[] = {0, 1, 2};
  const Backend backend(1);
  GraphArena arena(backend);
  arena.begin();
  ggml_context* ctx = arena.ctx();
  ggml_tensor* tokens = arena.input(GGML_TYPE_I32, 3);
  ggml_tensor* pos = arena.input(GGML_TYPE_I32, 3);
  ggml_tensor* x = decoder_embed(arena, model, tokens);
  for (int32_t il = 0; il < model.hparams().n_layer; ++il) {
    const DecoderQkv qkv =
        decoder_qkv(arena, model, il, decoder_products(arena, model, il, x), {pos});
    KvView kv;
    kv.k = ggml_cont(ctx, ggml_permute(ctx, qkv.k, 0, 2, 1, 3));
    kv.v = ggml_cont(ctx, ggml_permute(ctx, qkv.v, 0, 2, 1, 3));
    kv.span = {0, 3, 0};
    const auto attention = decoder_attention(arena, model, qkv.q, kv);
    x = decoder_layer_rest(arena, model, il, x, attention.out);
  }
  ggml_tensor* logits = decoder_head(arena, model, x);
  ggml_set_output(logits);
  ggml_build_forward_expand(arena.graph(), logits);
  arena.allocate();
  ggml_backend_tensor_set(tokens, kTokens, 0, sizeof(kTokens));
  ggml_backend_tensor_set(pos, kPositions, 0, sizeof(kPositions));
  arena.compute();
  std::vector<float> out(model.hparams().n_vocab);
  ggml_backend_tensor_get(logits, out.data(), 2 * out.size() * sizeof(float),
                          out.size() * sizeof(float));
  return out;
}

double relative_error(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0;
  double norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(a[i] - b[i], 2);
    norm += std::pow(b[i], 2);
  }
  return std::sqrt(difference / norm);
}

// Rows of 256 values: whole blocks of every type.
TinyModel model_of(ggml_type type) {
  return {.type = type,
          .n_embd = 256,
          .n_layer = 1,
          .n_ff = 256,
          .n_head = 4,
          .n_head_kv = 2,
          .n_embd_head = 128};
}

// A type is refused, or ggml computes with it: nothing in between. The tied embedding alone has the
// type, looked up and multiplied. The grids of iq1 to iq3 take seconds to set up: zeros there.
TEST(DecoderModel, ComputesWithEveryTypeItTakes) {
  int32_t n_taken = 0;
  for (int32_t i = 0; i < GGML_TYPE_COUNT; ++i) {
    const auto type = static_cast<ggml_type>(i);
    if (ggml_blck_size(type) == 0) continue;  // removed from ggml
    TinyModel tiny = model_of(GGML_TYPE_F32);
    tiny.arch = "qwen2";
    tiny.n_vocab = 4;
    tiny.edit_tensor = [type](TinyTensor& tensor) {
      if (tensor.name != "token_embd.weight") return true;
      tensor.type = type;
      const std::string_view name = ggml_type_name(type);
      tensor.is_zero = name.starts_with("iq") && !name.starts_with("iq4");
      return true;
    };
    const std::vector<char> bytes = bytes_of(tiny);
    const std::string fault = fault_of(bytes);
    if (!fault.empty()) {
      EXPECT_THAT(fault, HasSubstr("which holds no weights")) << ggml_type_name(type);
      continue;
    }
    for (const float logit : logits_of(*load(bytes)))
      EXPECT_TRUE(std::isfinite(logit)) << ggml_type_name(type);
    ++n_taken;
  }
  EXPECT_EQ(n_taken, 28);
}

// The relative error of a weight passes through the eight products between a token and its logits
// and at worst adds up. F16 rounds by at most 2^-11. In blocks of Gaussian weights of deviation s
// the largest is about 2.2 s: steps of 2.2 s / 127 (Q8_0, for weights and activations) and of
// 4.4 s / 15 (Q4_K), uniform errors of a step / sqrt(12).
TEST(DecoderModel, LoadsTheUsualTypes) {
  const std::vector<float> exact = logits_of(*load(bytes_of(model_of(GGML_TYPE_F32))));
  const double q8_0 = std::sqrt(2) * 2.2 / 127 / std::sqrt(12);
  const double q4_k = 4.4 / 15 / std::sqrt(12);
  for (const auto& [type, error] :
       {std::pair(GGML_TYPE_F16, std::pow(2, -11)), std::pair(GGML_TYPE_Q8_0, q8_0),
        std::pair(GGML_TYPE_Q4_K, q4_k)}) {
    const double found = relative_error(logits_of(*load(bytes_of(model_of(type)))), exact);
    EXPECT_LT(found, 8 * error) << ggml_type_name(type);
    EXPECT_GT(found, 0) << ggml_type_name(type);
  }
}

// The same file with general.alignment = 8: the tensors move up to the end of the header. The
// writer knows 32 only. The last thing in a header is the last tensor's type and offset.
std::vector<char> aligned_to_8(TinyModel model, size_t excess) {
  std::string last;
  model.edit_tensor = [&last](const TinyTensor& tensor) {
    last = tensor.name;
    return true;
  };
  model.edit_metadata = [excess](gguf_context* file) {
    gguf_set_val_u32(file, "general.alignment", 8);
    gguf_set_val_str(file, "padding", std::string(excess, 'x').c_str());
  };
  std::vector<char> bytes = bytes_of(model);
  const std::string_view text(bytes.data(), bytes.size());
  size_t end = text.find(last) + last.size();
  uint32_t n_dims = 0;
  std::memcpy(&n_dims, &bytes[end], sizeof(n_dims));
  end += 4 + 8 * n_dims + 4 + 8;
  const auto up = [end](size_t n) { return (end + n - 1) / n * n; };
  bytes.erase(bytes.begin() + static_cast<int64_t>(up(8)),
              bytes.begin() + static_cast<int64_t>(up(32)));
  return bytes;
}

TEST(DecoderModel, CopiesTensorsOfSmallAlignment) {
  const TinyModel tiny{.n_layer = 1};
  const std::vector<float> want = logits_of(*load(bytes_of(tiny)));
  int32_t n_copied = 0;
  for (const size_t excess : {0U, 8U, 16U, 24U}) {
    const std::vector<char> bytes = aligned_to_8(tiny, excess);
    const GgufFile file = GgufFile::parse("x.gguf", std::as_bytes(std::span(bytes)));
    ASSERT_EQ(file.alignment(), 8U);
    n_copied += file.find("token_embd.weight")->offset % 32 != 0 ? 1 : 0;
    const auto model = load(bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(model->tok_embd()->data) % 32, 0U);
    EXPECT_EQ(logits_of(*model), want) << excess;
  }
  EXPECT_EQ(n_copied, 3);
}

// Bytes of a caller may begin anywhere.
TEST(DecoderModel, TakesBytesOfAnyAlignment) {
  const std::vector<char> bytes = bytes_of({.n_layer = 1});
  const std::vector<float> want = logits_of(*load(bytes));
  std::vector<char> shifted(bytes.size() + 64);
  for (const size_t shift : {1U, 8U, 31U, 33U}) {
    std::copy(bytes.begin(), bytes.end(), shifted.begin() + static_cast<int64_t>(shift));
    EXPECT_EQ(logits_of(*load(std::span(shifted).subspan(shift, bytes.size()))), want) << shift;
  }
}

TEST(DecoderModel, LoadsEveryArchitecture) {
  for (const std::string arch : {"llama", "qwen2", "qwen3", "gemma3"}) {
    const auto model = load(bytes_of({.arch = arch}));
    EXPECT_EQ(model->hparams().arch, arch);
    EXPECT_EQ(model->layers().size(), 7U);
    EXPECT_EQ(model->hparams().n_vocab, 320);
  }
}

}  // namespace
}  // namespace reprise
