#include "nets/dllm_checkpoint.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>

#include "core/error.h"
#include "core/tokenizer.h"
#include "nets/decoder_model.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

// Two layers, n_embd 32 over 4 heads of 8 values; Dream has 2 KV heads.
constexpr int64_t kEmbd = 32;
constexpr int64_t kHeads = 4;
constexpr int64_t kHeadLength = 8;
constexpr int64_t kFeedForward = 48;
constexpr int64_t kVocab = 12;
constexpr int kLayers = 2;

struct Tensor {
  std::vector<int64_t> shape;
  std::vector<float> values;  // as the type holds them
};

// A random checkpoint before it is written.
// NOLINTNEXTLINE(bugprone-exception-escape): nlohmann's moves may throw, where JSON is broken
struct Checkpoint {
  Json config;
  Json tokenizer;  // null: no such file
  std::map<std::string, Tensor> tensors;
  ggml_type type = GGML_TYPE_F32;
};

float rounded(float value, ggml_type type) {
  if (type == GGML_TYPE_BF16) return ggml_bf16_to_fp32(ggml_fp32_to_bf16(value));
  if (type == GGML_TYPE_F16) return ggml_fp16_to_fp32(ggml_fp32_to_fp16(value));
  return value;
}

class Draw {
 public:
  explicit Draw(Checkpoint& out) : out_(out) {}
  void operator()(const std::string& name, std::vector<int64_t> shape) {
    int64_t n = 1;
    for (const int64_t size : shape) n *= size;
    Tensor tensor{std::move(shape), std::vector<float>(n)};
    for (float& value : tensor.values) value = rounded(normal_(rng_), out_.type);
    out_.tensors[name] = std::move(tensor);
  }

 private:
  Checkpoint& out_;
  std::mt19937 rng_{1};
  std::normal_distribution<float> normal_;
};

Checkpoint llada(ggml_type type = GGML_TYPE_F32) {
  Checkpoint out;
  out.type = type;
  out.config = Json::parse(R"({"architectures": ["LLaDAModelLM"], "d_model": 32, "n_layers": 2,
    "n_heads": 4, "n_kv_heads": 4, "mlp_hidden_size": 48, "vocab_size": 11, "embedding_size": 12,
    "max_sequence_length": 64, "rope_theta": 500000.0, "rms_norm_eps": 1e-5,
    "layer_norm_type": "rms", "activation_type": "silu", "block_type": "llama", "rope": true,
    "alibi": false, "include_bias": false, "weight_tying": false, "block_group_size": 1,
    "mask_token_id": 10, "eos_token_id": 9, "pad_token_id": -1})");
  Draw draw(out);
  const std::string model = "model.transformer.";
  draw(model + "wte.weight", {kVocab, kEmbd});
  draw(model + "ln_f.weight", {kEmbd});
  draw(model + "ff_out.weight", {kVocab, kEmbd});
  for (int il = 0; il < kLayers; ++il) {
    const std::string l = fmt::format("{}blocks.{}.", model, il);
    for (const char* name : {"q_proj", "k_proj", "v_proj", "attn_out"})
      draw(l + name + ".weight", {kEmbd, kEmbd});
    for (const char* name : {"attn_norm", "ff_norm"}) draw(l + name + ".weight", {kEmbd});
    for (const char* name : {"ff_proj", "up_proj"})
      draw(l + name + ".weight", {kFeedForward, kEmbd});
    draw(l + "ff_out.weight", {kEmbd, kFeedForward});
  }
  return out;
}

Checkpoint dream(ggml_type type = GGML_TYPE_F32) {
  Checkpoint out;
  out.type = type;
  out.config = Json::parse(R"({"architectures": ["DreamModel"], "hidden_size": 32,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 48, "vocab_size": 12, "max_position_embeddings": 64,
    "rope_theta": 1000000.0, "rms_norm_eps": 1e-6, "hidden_act": "silu",
    "tie_word_embeddings": false, "use_sliding_window": false, "rope_scaling": null,
    "mask_token_id": 10, "eos_token_id": 9, "bos_token_id": 8})");
  Draw draw(out);
  draw("model.embed_tokens.weight", {kVocab, kEmbd});
  draw("model.norm.weight", {kEmbd});
  draw("lm_head.weight", {kVocab, kEmbd});
  for (int il = 0; il < kLayers; ++il) {
    const std::string l = fmt::format("model.layers.{}.", il);
    const std::pair<const char*, int64_t> heads[] = {{"q", kEmbd}, {"k", 16}, {"v", 16}};
    for (const auto& [name, n] : heads) {
      draw(fmt::format("{}self_attn.{}_proj.weight", l, name), {n, kEmbd});
      draw(fmt::format("{}self_attn.{}_proj.bias", l, name), {n});
    }
    draw(l + "self_attn.o_proj.weight", {kEmbd, kEmbd});
    draw(l + "input_layernorm.weight", {kEmbd});
    draw(l + "post_attention_layernorm.weight", {kEmbd});
    draw(l + "mlp.gate_proj.weight", {kFeedForward, kEmbd});
    draw(l + "mlp.up_proj.weight", {kFeedForward, kEmbd});
    draw(l + "mlp.down_proj.weight", {kEmbd, kFeedForward});
  }
  return out;
}

// 'h', 'e', 'he' and what the special ids need; rows 6 and 7 stand empty.
Json tokenizer() {
  return Json::parse(R"({
    "added_tokens": [{"id": 8, "content": "<bos>", "special": true},
                     {"id": 9, "content": "<eos>", "special": true},
                     {"id": 10, "content": "<mask>", "special": true}],
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
      {"type": "Digits", "individual_digits": true},
      {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}]},
    "model": {"type": "BPE", "vocab": {"h": 0, "e": 1, "he": 2, "1": 3, "2": 4, "12": 5},
              "merges": [["h", "e"], ["1", "2"]]}})");
}

void append(std::string& bytes, const Tensor& tensor, ggml_type type) {
  for (const float value : tensor.values) {
    const ggml_bf16_t bf16 = ggml_fp32_to_bf16(value);
    const ggml_fp16_t f16 = ggml_fp32_to_fp16(value);
    const void* source = &value;
    if (type == GGML_TYPE_BF16) source = &bf16;
    if (type == GGML_TYPE_F16) source = &f16;
    bytes.append(static_cast<const char*>(source), ggml_type_size(type));
  }
}

class DllmCheckpoint : public testing::Test {
 protected:
  DllmCheckpoint() : folder_(testing::TempDir() + "reprise_dllm_" + std::to_string(getpid())) {
    clear();
  }
  ~DllmCheckpoint() override { fs::remove_all(folder_); }

  void clear() const {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name, std::ios::binary) << text;
  }
  // A safetensors file of the tensors that `is_in` takes.
  void write_tensors(const Checkpoint& checkpoint, const std::string& name,
                     const std::function<bool(const std::string&)>& is_in) const {
    Json header = Json::object();
    std::string data;
    for (const auto& [tensor, value] : checkpoint.tensors) {
      if (!is_in(tensor)) continue;
      const size_t begin = data.size();
      append(data, value, checkpoint.type);
      std::string type = ggml_type_name(checkpoint.type);
      for (char& c : type) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
      header[tensor] = {
          {"dtype", type}, {"shape", value.shape}, {"data_offsets", {begin, data.size()}}};
    }
    const std::string text = header.dump();
    const uint64_t n = text.size();
    write(name, std::string(reinterpret_cast<const char*>(&n), sizeof(n)) + text + data);
  }
  void write(const Checkpoint& checkpoint) const {
    clear();
    write("config.json", checkpoint.config.dump());
    if (!checkpoint.tokenizer.is_null()) write("tokenizer.json", checkpoint.tokenizer.dump());
    write_tensors(checkpoint, "model.safetensors", [](const std::string&) { return true; });
  }
  std::shared_ptr<const GgufFile> load(const Checkpoint& checkpoint) const {
    write(checkpoint);
    return std::make_shared<const GgufFile>(dllm_checkpoint_as_gguf(folder_));
  }
  std::string fault() const {
    try {
      dllm_checkpoint_as_gguf(folder_);
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  }
  std::string fault(const Checkpoint& checkpoint) const {
    write(checkpoint);
    return fault();
  }

  std::string folder_;
};

// The values of a model's tensor as F32.
std::vector<float> values_of(const ggml_tensor* tensor) {
  std::vector<float> out(ggml_nelements(tensor));
  if (tensor->type == GGML_TYPE_F32) {
    std::memcpy(out.data(), tensor->data, ggml_nbytes(tensor));
  } else {
    ggml_get_type_traits(tensor->type)
        ->to_float(tensor->data, out.data(), static_cast<int64_t>(out.size()));
  }
  return out;
}

// What is left of a head's rows when values that RoPE rotates together stand side by side.
std::vector<float> half_split(const std::vector<float>& interleaved) {
  std::vector<float> out(interleaved.size());
  for (int64_t row = 0; row < kHeads * kHeadLength; ++row) {
    const int64_t head = row / kHeadLength;
    const int64_t i = row % kHeadLength;
    const int64_t to = head * kHeadLength + (i % 2 == 0 ? i / 2 : kHeadLength / 2 + i / 2);
    std::copy_n(interleaved.begin() + row * kEmbd, kEmbd, out.begin() + to * kEmbd);
  }
  return out;
}

TEST_F(DllmCheckpoint, LoadsLlada) {
  for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_BF16, GGML_TYPE_F16}) {
    SCOPED_TRACE(ggml_type_name(type));
    const Checkpoint checkpoint = llada(type);
    const auto model = DecoderModel::load(load(checkpoint));
    const DecoderHparams& hp = model->hparams();
    EXPECT_EQ(hp.arch, "llada");
    EXPECT_EQ(hp.rope_type, GGML_ROPE_TYPE_NORMAL);
    EXPECT_EQ(hp.n_vocab, kVocab);
    EXPECT_EQ(hp.n_ctx_train, 64);
    EXPECT_EQ(hp.n_head_kv, kHeads);
    EXPECT_EQ(hp.n_rot, kHeadLength);
    EXPECT_EQ(hp.rope_freq_base, 500000);
    EXPECT_EQ(hp.rms_eps, 1e-5F);
    EXPECT_EQ(hp.mask_token, 10);
    EXPECT_TRUE(hp.is_masked);
    EXPECT_FALSE(hp.shifts_logits);
    const auto source = [&](const std::string& name) {
      return checkpoint.tensors.at("model.transformer." + name + ".weight").values;
    };
    EXPECT_EQ(values_of(model->tok_embd()), source("wte"));
    EXPECT_EQ(values_of(model->output_norm()), source("ln_f"));
    EXPECT_EQ(values_of(model->output()), source("ff_out"));
    for (int il = 0; il < kLayers; ++il) {
      const DecoderLayer& l = model->layers()[il];
      const std::string from = fmt::format("blocks.{}.", il);
      EXPECT_EQ(l.wq->type, type);
      EXPECT_EQ(half_split(values_of(l.wq)), source(from + "q_proj"));
      EXPECT_EQ(half_split(values_of(l.wk)), source(from + "k_proj"));
      EXPECT_EQ(values_of(l.wv), source(from + "v_proj"));
      EXPECT_EQ(values_of(l.wo), source(from + "attn_out"));
      EXPECT_EQ(values_of(l.attn_norm), source(from + "attn_norm"));
      EXPECT_EQ(values_of(l.ffn_norm), source(from + "ff_norm"));
      EXPECT_EQ(values_of(l.ffn_gate), source(from + "ff_proj"));
      EXPECT_EQ(values_of(l.ffn_up), source(from + "up_proj"));
      EXPECT_EQ(values_of(l.ffn_down), source(from + "ff_out"));
      EXPECT_EQ(l.bq, nullptr);
    }
  }
}

TEST_F(DllmCheckpoint, LoadsDream) {
  for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_BF16}) {
    SCOPED_TRACE(ggml_type_name(type));
    const Checkpoint checkpoint = dream(type);
    const auto model = DecoderModel::load(load(checkpoint));
    const DecoderHparams& hp = model->hparams();
    EXPECT_EQ(hp.arch, "dream");
    EXPECT_EQ(hp.rope_type, GGML_ROPE_TYPE_NEOX);
    EXPECT_EQ(hp.n_head_kv, 2);
    EXPECT_EQ(hp.rope_freq_base, 1000000);
    EXPECT_EQ(hp.rms_eps, 1e-6F);
    EXPECT_TRUE(hp.is_masked);
    EXPECT_TRUE(hp.shifts_logits);
    EXPECT_EQ(values_of(model->tok_embd()),
              checkpoint.tensors.at("model.embed_tokens.weight").values);
    EXPECT_EQ(values_of(model->output_norm()), checkpoint.tensors.at("model.norm.weight").values);
    EXPECT_EQ(values_of(model->output()), checkpoint.tensors.at("lm_head.weight").values);
    for (int il = 0; il < kLayers; ++il) {
      const DecoderLayer& l = model->layers()[il];
      const auto source = [&](const std::string& name) {
        return checkpoint.tensors.at(fmt::format("model.layers.{}.{}", il, name)).values;
      };
      EXPECT_EQ(values_of(l.wq), source("self_attn.q_proj.weight"));
      EXPECT_EQ(values_of(l.wk), source("self_attn.k_proj.weight"));
      EXPECT_EQ(values_of(l.wv), source("self_attn.v_proj.weight"));
      EXPECT_EQ(values_of(l.bq), source("self_attn.q_proj.bias"));
      EXPECT_EQ(values_of(l.bk), source("self_attn.k_proj.bias"));
      EXPECT_EQ(values_of(l.bv), source("self_attn.v_proj.bias"));
      EXPECT_EQ(values_of(l.wo), source("self_attn.o_proj.weight"));
      EXPECT_EQ(values_of(l.attn_norm), source("input_layernorm.weight"));
      EXPECT_EQ(values_of(l.ffn_norm), source("post_attention_layernorm.weight"));
      EXPECT_EQ(values_of(l.ffn_gate), source("mlp.gate_proj.weight"));
      EXPECT_EQ(values_of(l.ffn_up), source("mlp.up_proj.weight"));
      EXPECT_EQ(values_of(l.ffn_down), source("mlp.down_proj.weight"));
    }
  }
}

// The weights stand in memory already: a second copy would take as much again, and dropping the
// first one's pages, as a copy does with a file's, would empty it.
TEST_F(DllmCheckpoint, IsNotCopied) {
  const auto file = load(llada());
  for (const auto host : {WeightPlace::Host::kMapped, WeightPlace::Host::kCopied}) {
    const auto model = DecoderModel::load(file, {nullptr, host});
    EXPECT_EQ(model->output()->data, file->data(*file->find("output.weight")).data());
    EXPECT_TRUE(model->has_copied_weights());
  }
}

TEST_F(DllmCheckpoint, ShardsMakeTheSameFile) {
  const Checkpoint checkpoint = llada();
  const auto whole = load(checkpoint);
  fs::remove(folder_ + "/model.safetensors");
  const auto is_first = [](const std::string& name) { return name.find("blocks.0") < name.size(); };
  Json index = {{"metadata", {{"total_size", 1}}}, {"weight_map", Json::object()}};
  for (const auto& [name, tensor] : checkpoint.tensors)
    index["weight_map"][name] = is_first(name) ? "a.safetensors" : "b.safetensors";
  write_tensors(checkpoint, "a.safetensors", is_first);
  write_tensors(checkpoint, "b.safetensors", [&](const auto& name) { return !is_first(name); });
  write("model.safetensors.index.json", index.dump());
  const GgufFile sharded = dllm_checkpoint_as_gguf(folder_);
  EXPECT_TRUE(std::ranges::equal(sharded.bytes(), whole->bytes()));

  const std::string norm = "model.transformer.ln_f.weight";
  const auto with = [&](const std::string& key, const Json& value) {
    Json edited = index;
    edited["weight_map"][key] = value;
    write("model.safetensors.index.json", edited.dump());
    return fault();
  };
  EXPECT_THAT(with(norm, "a.safetensors"), HasSubstr("tensor '" + norm + "' is not in"));
  EXPECT_THAT(with("lost", "a.safetensors"), HasSubstr("tensor 'lost' is not in"));
  EXPECT_THAT(with(norm, "../a.safetensors"), HasSubstr("expected one in the same folder"));
  EXPECT_THAT(with(norm, 3), HasSubstr("expected one in the same folder"));
  EXPECT_THAT(with(norm, "c.safetensors"), HasSubstr("c.safetensors: cannot be opened"));
  write_tensors(checkpoint, "b.safetensors", [](const auto&) { return true; });
  write("model.safetensors.index.json", index.dump());
  EXPECT_THAT(fault(), HasSubstr("stands in"));
  write("model.safetensors.index.json", "{}");
  EXPECT_THAT(fault(), HasSubstr("has no weight_map"));
}

TEST_F(DllmCheckpoint, TokenizesAsItsTokenizerSays) {
  Checkpoint checkpoint = llada();
  checkpoint.tokenizer = tokenizer();
  write(checkpoint);
  write("chat_template.jinja", "{{ bos_token }}");
  const GgufFile file = dllm_checkpoint_as_gguf(folder_);
  EXPECT_EQ(file.strings("tokenizer.ggml.tokens")[6], "[PAD6]");
  EXPECT_EQ(file.string("tokenizer.chat_template"), "{{ bos_token }}");
  const Tokenizer tokens = Tokenizer::load(file);
  EXPECT_EQ(tokens.n_vocab(), kVocab);
  EXPECT_EQ(tokens.eos(), 9);
  // "1" and "2" stay apart: the pre-tokenizer comes before the merges.
  EXPECT_THAT(tokens.tokenize("he12", true, false), ElementsAre(2, 3, 4));
  EXPECT_THAT(tokens.tokenize("he<mask>", true, true), ElementsAre(2, 10));
}

TEST_F(DllmCheckpoint, BeginsLladaWithItsBosAlone) {
  for (const bool is_llada : {true, false}) {
    Checkpoint checkpoint = is_llada ? llada() : dream();
    checkpoint.tokenizer = tokenizer();
    write(checkpoint);
    write("tokenizer_config.json", R"({"bos_token": "<bos>", "pad_token": "<eos>"})");
    const GgufFile file = dllm_checkpoint_as_gguf(folder_);
    EXPECT_EQ(file.integer("tokenizer.ggml.padding_token_id"), 9);
    const Tokenizer tokens = Tokenizer::load(file);
    EXPECT_EQ(tokens.bos(), 8);
    EXPECT_EQ(tokens.tokenize("e", true, false).size(), is_llada ? 2U : 1U);
  }
}

TEST_F(DllmCheckpoint, NeedsATokenizerForTextAlone) {
  const auto file = load(llada());
  EXPECT_NO_THROW(DecoderModel::load(file));
  EXPECT_THROW(Tokenizer::load(*file), Error);
}

TEST_F(DllmCheckpoint, RefusesConfigsByTable) {
  struct Case {
    const char* key;
    Json value;  // null: the key is left out
    std::string want;
  };
  const Case of_llada[] = {
      {"architectures", Json::array({"LlamaForCausalLM"}), "convert the model to GGUF"},
      {"architectures", nullptr, "convert the model to GGUF"},
      {"architectures", 3, "architecture 3 is not read"},
      {"block_type", "sequential", "block_type is \"sequential\", and \"llama\" alone"},
      {"block_type", nullptr, "block_type is missing"},
      {"layer_norm_type", "low_precision", "layer_norm_type is"},
      {"layer_norm_type", nullptr, "layer_norm_type is missing"},
      {"activation_type", "swiglu", "activation_type is"},
      {"activation_type", nullptr, "activation_type is missing"},
      {"rope", false, "rope is false, and true alone"},
      {"alibi", true, "alibi is true"},
      {"include_bias", true, "include_bias is true"},
      {"include_qkv_bias", true, "include_qkv_bias is true"},
      {"attention_layer_norm", true, "attention_layer_norm is true"},
      {"input_emb_norm", true, "input_emb_norm is true"},
      {"scale_logits", true, "scale_logits is true"},
      {"weight_tying", true, "weight_tying is true"},
      {"block_group_size", 2, "block_group_size is 2, and 1 alone"},
      {"rope_scaling", Json::object(), "rope_scaling is {}"},
      {"mask_token_id", nullptr, "mask_token_id is missing"},
      {"mask_token_id", 12, "mask_token_id is 12, expected an integer from 0 to 11"},
      {"mask_token_id", -1, "mask_token_id is -1"},
      {"n_layers", 0, "n_layers is 0"},
      {"n_layers", 99999, "n_layers is 99999"},
      {"n_layers", 18446744073709551615U, "n_layers is 18446744073709551615"},
      {"d_model", "32", "d_model is \"32\", expected an integer"},
      {"d_model", nullptr, "d_model is missing"},
      {"n_heads", 5, "d_model 32 over 5 heads gives no even length"},
      {"rms_norm_eps", 0, "rms_norm_eps is 0, expected a number above 0"},
      {"rope_theta", "x", "rope_theta is \"x\""},
      {"n_layers", 3, "tensor 'model.transformer.blocks.2.attn_norm.weight' is missing"},
      {"n_layers", 1, "tensor 'model.transformer.blocks.1.attn_norm.weight' is none"},
      {"mlp_hidden_size", 40, "has shape [48, 32], config.json says [40, 32]"},
      {"n_kv_heads", 2, "k_proj.weight' has shape [32, 32], config.json says [16, 32]"},
      {"eos_token_id", 12, "eos_token_id is 12"},
  };
  const Case of_dream[] = {
      {"hidden_act", "gelu", "hidden_act is"},
      {"tie_word_embeddings", true, "tie_word_embeddings is true"},
      {"use_sliding_window", true, "use_sliding_window is true"},
      {"rope_scaling", {{"type", "yarn"}}, "rope_scaling is"},
      {"mask_token_id", nullptr, "mask_token_id is missing"},
  };
  const auto check = [&](Checkpoint checkpoint, const Case& c) {
    if (c.value.is_null()) {
      checkpoint.config.erase(c.key);
    } else {
      checkpoint.config[c.key] = c.value;
    }
    const std::string found = fault(checkpoint);
    EXPECT_THAT(found, HasSubstr(folder_)) << c.key;
    EXPECT_THAT(found, HasSubstr(c.want)) << c.key;
  };
  for (const Case& c : of_llada) check(llada(), c);
  for (const Case& c : of_dream) check(dream(), c);
}

TEST_F(DllmCheckpoint, RefusesWrongTensors) {
  Checkpoint lost = dream();
  lost.tensors.erase("model.layers.1.self_attn.k_proj.bias");
  EXPECT_THAT(fault(lost), HasSubstr("'model.layers.1.self_attn.k_proj.bias' is missing"));
  Checkpoint more = llada();
  more.tensors["model.transformer.blocks.0.q_norm.weight"] = {{2}, {1, 2}};
  EXPECT_THAT(fault(more), HasSubstr("q_norm.weight' is none of the architecture"));
  Checkpoint flat = llada();
  flat.tensors["model.transformer.ln_f.weight"].shape = {1, kEmbd};
  EXPECT_THAT(fault(flat), HasSubstr("has shape [1, 32], config.json says [32]"));
  Checkpoint rope = llada();
  rope.tensors["model.transformer.blocks.0.rotary_emb.inv_freq"] = {{2}, {1, 2}};
  EXPECT_EQ(fault(rope), "");  // follows from config.json
}

TEST_F(DllmCheckpoint, RefusesBrokenFolders) {
  Checkpoint checkpoint = llada();
  checkpoint.tokenizer = tokenizer();
  checkpoint.tokenizer["model"]["vocab"]["x"] = kVocab;
  EXPECT_THAT(fault(checkpoint), HasSubstr("has id 12, and the embedding has 12 rows"));
  write(llada());
  fs::remove(folder_ + "/model.safetensors");
  EXPECT_THAT(fault(), HasSubstr("has neither model.safetensors nor"));
  write("config.json", "[]");
  EXPECT_THAT(fault(), HasSubstr("is a JSON array, expected an object"));
  fs::remove(folder_ + "/config.json");
  EXPECT_THAT(fault(), HasSubstr("config.json: cannot be opened"));
}

}  // namespace
}  // namespace reprise
