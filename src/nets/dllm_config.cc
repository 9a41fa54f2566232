#include "nets/dllm_config.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>

#include "core/error.h"
#include "core/printable.h"
#include "core/strict_json.h"

namespace reprise {
namespace {

using Json = nlohmann::json;
using Family = DllmConfig::Family;

constexpr int64_t kMaxVocab = 1 << 24;
constexpr int64_t kMaxContext = 1 << 30;
constexpr int64_t kMaxEmbd = 1 << 20;
constexpr int64_t kMaxLayers = 1024;
constexpr int64_t kMaxFeedForward = 1 << 22;
constexpr int64_t kMaxHeads = 4096;

// An option that changes what the model computes, and its one value that is built in. A missing or
// null option has it.
struct FixedOption {
  const char* key;
  const char* json;
};
constexpr FixedOption kLladaOptions[] = {{"block_type", "\"llama\""},
                                         {"layer_norm_type", "\"rms\""},
                                         {"activation_type", "\"silu\""},
                                         {"rope", "true"},
                                         {"alibi", "false"},
                                         {"include_bias", "false"},
                                         {"include_qkv_bias", "false"},
                                         {"attention_layer_norm", "false"},
                                         {"input_emb_norm", "false"},
                                         {"scale_logits", "false"},
                                         {"weight_tying", "false"},
                                         {"block_group_size", "1"},
                                         {"rope_scaling", "null"}};
constexpr FixedOption kDreamOptions[] = {{"hidden_act", "\"silu\""},
                                         {"tie_word_embeddings", "false"},
                                         {"use_sliding_window", "false"},
                                         {"rope_scaling", "null"}};

// LLaDA's own class takes other values when these are missing.
constexpr const char* kLladaStated[] = {"block_type", "layer_norm_type", "activation_type"};

class ConfigFile {
 public:
  explicit ConfigFile(const std::string& folder)
      : path_((std::filesystem::path(folder) / "config.json").string()),
        json_(read_strict_json(path_)) {}

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(fmt::format("{}: {}", path_, what));
  }

  Family family() const {
    const auto found = json_.find("architectures");
    const bool is_one = found != json_.end() && found->is_array() && found->size() == 1;
    if (is_one && (*found)[0] == "LLaDAModelLM") return Family::kLlada;
    if (is_one && (*found)[0] == "DreamModel") return Family::kDream;
    fail(
        fmt::format("architecture {} is not read from a checkpoint folder, LLaDAModelLM and "
                    "DreamModel are; convert the model to GGUF",
                    found == json_.end() ? "" : printable(found->dump())));
  }

  void check(std::span<const FixedOption> options) const {
    for (const FixedOption& option : options) {
      if (!has(option.key)) continue;
      const Json& value = json_.at(option.key);
      if (value != Json::parse(option.json)) {
        fail(fmt::format("{} is {}, and {} alone is built in; take another model", option.key,
                         printable(value.dump()), option.json));
      }
    }
  }

  // Not null.
  bool has(const char* key) const {
    const auto found = json_.find(key);
    return found != json_.end() && !found->is_null();
  }
  const Json& at(const char* key) const {
    if (!has(key)) fail(fmt::format("{} is missing; fetch the checkpoint again", key));
    return json_.at(key);
  }
  int64_t integer(const char* key, int64_t low, int64_t high) const {
    const Json& value = at(key);
    const bool is_integer = value.is_number_integer() &&
                            (!value.is_number_unsigned() || value.get<uint64_t>() <= INT64_MAX);
    if (!is_integer || value.get<int64_t>() < low || value.get<int64_t>() > high) {
      fail(fmt::format("{} is {}, expected an integer from {} to {}; fetch the checkpoint again",
                       key, printable(value.dump()), low, high));
    }
    return value.get<int64_t>();
  }
  double positive(const char* key) const {
    const Json& value = at(key);
    if (!value.is_number() || !(value.get<double>() > 0)) {
      fail(fmt::format("{} is {}, expected a number above 0; fetch the checkpoint again", key,
                       printable(value.dump())));
    }
    return value.get<double>();
  }
  // nullopt too for a list of ids and for -1, by which some configs say that there is none.
  std::optional<int64_t> token(const char* key, int64_t n_vocab) const {
    if (!has(key) || !json_.at(key).is_number_unsigned()) return std::nullopt;
    return integer(key, 0, n_vocab - 1);
  }

 private:
  std::string path_;
  Json json_;
};

// What each family calls the sizes.
struct SizeKeys {
  const char *n_ctx, *n_embd, *n_layer, *n_ff, *n_head, *n_head_kv;
};
constexpr SizeKeys kLladaKeys = {"max_sequence_length", "d_model", "n_layers",
                                 "mlp_hidden_size",     "n_heads", "n_kv_heads"};
constexpr SizeKeys kDreamKeys = {"max_position_embeddings", "hidden_size",
                                 "num_hidden_layers",       "intermediate_size",
                                 "num_attention_heads",     "num_key_value_heads"};

}  // namespace

DllmConfig read_dllm_config(const std::string& folder) {
  const ConfigFile file(folder);
  DllmConfig config;
  config.family = file.family();
  const bool is_llada = config.family == Family::kLlada;
  if (is_llada) {
    for (const char* key : kLladaStated) file.at(key);
    file.check(kLladaOptions);
  } else {
    file.check(kDreamOptions);
  }
  const SizeKeys& keys = is_llada ? kLladaKeys : kDreamKeys;
  const char* rows = is_llada && file.has("embedding_size") ? "embedding_size" : "vocab_size";
  config.n_vocab = file.integer(rows, 1, kMaxVocab);
  config.n_ctx = file.integer(keys.n_ctx, 1, kMaxContext);
  config.n_embd = file.integer(keys.n_embd, 1, kMaxEmbd);
  config.n_layer = file.integer(keys.n_layer, 1, kMaxLayers);
  config.n_ff = file.integer(keys.n_ff, 1, kMaxFeedForward);
  config.n_head = file.integer(keys.n_head, 1, kMaxHeads);
  config.n_head_kv =
      file.has(keys.n_head_kv) ? file.integer(keys.n_head_kv, 1, config.n_head) : config.n_head;
  if (config.n_embd % (2 * config.n_head) != 0) {
    file.fail(fmt::format("{} {} over {} heads gives no even length; fetch the checkpoint again",
                          keys.n_embd, config.n_embd, config.n_head));
  }
  config.rms_eps = file.positive("rms_norm_eps");
  config.rope_freq_base = file.positive("rope_theta");
  config.mask_token = file.integer("mask_token_id", 0, config.n_vocab - 1);
  config.bos = file.token("bos_token_id", config.n_vocab);
  config.eos = file.token("eos_token_id", config.n_vocab);
  config.padding = file.token("pad_token_id", config.n_vocab);
  return config;
}

}  // namespace reprise
