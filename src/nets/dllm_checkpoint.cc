#include "nets/dllm_checkpoint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>
#include <filesystem>
#include <memory>
#include <set>
#include <string_view>
#include <vector>

#include "core/bpe_vocabulary.h"
#include "core/error.h"
#include "core/printable.h"
#include "core/sharded_safetensors.h"
#include "ggml.h"
#include "gguf.h"
#include "nets/dllm_config.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;
using Family = DllmConfig::Family;

// A tensor of the checkpoint and what becomes of it.
struct TensorPlan {
  std::string from;
  std::string to;
  std::vector<int64_t> shape;  // as PyTorch orders it: rows, columns; or values
  int64_t n_rope_heads = 0;    // rows are those of so many heads, half-split; 0: kept in order
};

// What a family calls its tensors; those of a layer stand behind the layer's own name.
struct TensorNames {
  const char *embd, *norm, *head, *layer;
  const char *attn_norm, *q, *k, *v, *attn_output, *ffn_norm, *gate, *up, *down;
};
constexpr TensorNames kLladaNames = {.embd = "model.transformer.wte",
                                     .norm = "model.transformer.ln_f",
                                     .head = "model.transformer.ff_out",
                                     .layer = "model.transformer.blocks",
                                     .attn_norm = "attn_norm",
                                     .q = "q_proj",
                                     .k = "k_proj",
                                     .v = "v_proj",
                                     .attn_output = "attn_out",
                                     .ffn_norm = "ff_norm",
                                     .gate = "ff_proj",
                                     .up = "up_proj",
                                     .down = "ff_out"};
constexpr TensorNames kDreamNames = {.embd = "model.embed_tokens",
                                     .norm = "model.norm",
                                     .head = "lm_head",
                                     .layer = "model.layers",
                                     .attn_norm = "input_layernorm",
                                     .q = "self_attn.q_proj",
                                     .k = "self_attn.k_proj",
                                     .v = "self_attn.v_proj",
                                     .attn_output = "self_attn.o_proj",
                                     .ffn_norm = "post_attention_layernorm",
                                     .gate = "mlp.gate_proj",
                                     .up = "mlp.up_proj",
                                     .down = "mlp.down_proj"};

std::vector<TensorPlan> tensor_plans(const DllmConfig& c) {
  const bool is_llada = c.family == Family::kLlada;
  const TensorNames& names = is_llada ? kLladaNames : kDreamNames;
  const int64_t n_kv = c.n_embd_head() * c.n_head_kv;
  std::vector<TensorPlan> plans;
  const auto weight = [&](const std::string& from, const std::string& to,
                          std::vector<int64_t> shape, int64_t n_rope_heads = 0) {
    plans.push_back({from + ".weight", to + ".weight", std::move(shape), n_rope_heads});
  };
  weight(names.embd, "token_embd", {c.n_vocab, c.n_embd});
  weight(names.norm, "output_norm", {c.n_embd});
  weight(names.head, "output", {c.n_vocab, c.n_embd});
  for (int64_t il = 0; il < c.n_layer; ++il) {
    const std::string from = fmt::format("{}.{}.", names.layer, il);
    const std::string to = fmt::format("blk.{}.", il);
    weight(from + names.attn_norm, to + "attn_norm", {c.n_embd});
    weight(from + names.q, to + "attn_q", {c.n_embd, c.n_embd}, is_llada ? c.n_head : 0);
    weight(from + names.k, to + "attn_k", {n_kv, c.n_embd}, is_llada ? c.n_head_kv : 0);
    weight(from + names.v, to + "attn_v", {n_kv, c.n_embd});
    weight(from + names.attn_output, to + "attn_output", {c.n_embd, c.n_embd});
    weight(from + names.ffn_norm, to + "ffn_norm", {c.n_embd});
    weight(from + names.gate, to + "ffn_gate", {c.n_ff, c.n_embd});
    weight(from + names.up, to + "ffn_up", {c.n_ff, c.n_embd});
    weight(from + names.down, to + "ffn_down", {c.n_embd, c.n_ff});
    if (is_llada) continue;
    plans.push_back({from + names.q + ".bias", to + "attn_q.bias", {c.n_embd}});
    plans.push_back({from + names.k + ".bias", to + "attn_k.bias", {n_kv}});
    plans.push_back({from + names.v + ".bias", to + "attn_v.bias", {n_kv}});
  }
  return plans;
}

void check_tensors(const std::string& folder, const ShardedSafetensors& weights,
                   const std::vector<TensorPlan>& plans) {
  std::set<std::string_view> taken;
  for (const TensorPlan& plan : plans) {
    const auto found = weights.tensors().find(plan.from);
    if (found == weights.tensors().end()) {
      throw Error(
          fmt::format("{}: tensor '{}' is missing; fetch the checkpoint again", folder, plan.from));
    }
    if (found->second.shape != plan.shape) {
      throw Error(fmt::format(
          "{}: tensor '{}' has shape [{}], config.json says [{}]; fetch the "
          "checkpoint again",
          folder, plan.from, fmt::join(found->second.shape, ", "), fmt::join(plan.shape, ", ")));
    }
    taken.insert(plan.from);
  }
  for (const auto& [name, tensor] : weights.tensors()) {
    // Constants of RoPE, which follow from config.json.
    if (taken.contains(name) || name.ends_with(".rotary_emb.inv_freq")) continue;
    throw Error(
        fmt::format("{}: tensor '{}' is none of the architecture with the layers that "
                    "config.json declares; such models are not built in",
                    folder, printable(name)));
  }
}

// Metadata in the widths of llama.cpp's converter.
class Metadata {
 public:
  explicit Metadata(gguf_context* gguf) : gguf_(gguf) {}

  void text(const std::string& key, const std::string& value) {
    gguf_set_val_str(gguf_, key.c_str(), value.c_str());
  }
  void count(const std::string& key, int64_t value) {
    gguf_set_val_u32(gguf_, key.c_str(), static_cast<uint32_t>(value));
  }
  void real(const std::string& key, double value) {
    gguf_set_val_f32(gguf_, key.c_str(), static_cast<float>(value));
  }
  void flag(const std::string& key, bool value) { gguf_set_val_bool(gguf_, key.c_str(), value); }
  void texts(const std::string& key, const std::vector<std::string>& values) {
    std::vector<const char*> pointers;
    pointers.reserve(values.size());
    for (const std::string& value : values) pointers.push_back(value.c_str());
    gguf_set_arr_str(gguf_, key.c_str(), pointers.data(), pointers.size());
  }
  void integers(const std::string& key, const std::vector<int32_t>& values) {
    gguf_set_arr_data(gguf_, key.c_str(), GGUF_TYPE_INT32, values.data(), values.size());
  }

 private:
  gguf_context* gguf_;
};

void write_sizes(Metadata& out, const DllmConfig& c, const std::string& folder) {
  const bool is_llada = c.family == Family::kLlada;
  const std::string arch = is_llada ? "llada" : "dream";
  const std::string a = arch + ".";
  fs::path path = fs::path(folder).lexically_normal();
  if (path.filename().empty()) path = path.parent_path();
  out.text("general.architecture", arch);
  out.text("general.name", path.filename().string());
  out.count(a + "vocab_size", c.n_vocab);
  out.count(a + "context_length", c.n_ctx);
  out.count(a + "embedding_length", c.n_embd);
  out.count(a + "block_count", c.n_layer);
  out.count(a + "feed_forward_length", c.n_ff);
  out.count(a + "attention.head_count", c.n_head);
  out.count(a + "attention.head_count_kv", c.n_head_kv);
  out.count(a + "rope.dimension_count", c.n_embd_head());
  out.real(a + "rope.freq_base", c.rope_freq_base);
  out.real(a + "attention.layer_norm_rms_epsilon", c.rms_eps);
  out.flag(a + "attention.causal", false);
  out.flag("diffusion.shift_logits", !is_llada);
  out.count("tokenizer.ggml.mask_token_id", c.mask_token);
}

void write_vocabulary(Metadata& out, const DllmConfig& c, const BpeVocabulary& vocabulary) {
  const std::string t = "tokenizer.ggml.";
  out.text(t + "model", "gpt2");
  out.text(t + "pre", vocabulary.pre_tokenizer);
  out.texts(t + "tokens", vocabulary.tokens);
  out.integers(t + "token_type", vocabulary.types);
  out.texts(t + "merges", vocabulary.merges);
  const auto special = [&](const char* name, std::optional<int32_t> first,
                           std::optional<int64_t> second) {
    if (first || second) out.count(t + name, first ? *first : *second);
  };
  special("bos_token_id", vocabulary.bos, c.bos);
  special("eos_token_id", vocabulary.eos, c.eos);
  special("padding_token_id", vocabulary.padding, c.padding);
  // LLaDA's text begins with it, whatever tokenizer_config.json says: so llama.cpp's converter.
  const bool has_bos = vocabulary.bos || c.bos;
  out.flag(t + "add_bos_token",
           has_bos && (c.family == Family::kLlada || vocabulary.adds_bos.value_or(false)));
  if (!vocabulary.chat_template.empty())
    out.text("tokenizer.chat_template", vocabulary.chat_template);
}

// Row 2 j + p of a head is its row p n_embd_head / 2 + j in the checkpoint: values that RoPE
// rotates together stand side by side.
void copy_rope_rows(std::span<const std::byte> from, const TensorPlan& plan, std::byte* to) {
  const auto n_rows = static_cast<size_t>(plan.shape[0]);
  const size_t row = from.size() / n_rows;
  const size_t n_half = n_rows / static_cast<size_t>(plan.n_rope_heads) / 2;
  for (size_t i = 0; i < n_rows; ++i) {
    const size_t head = i / (2 * n_half);
    const size_t j = i % (2 * n_half) / 2;
    const size_t i_from = head * 2 * n_half + i % 2 * n_half + j;
    std::memcpy(to + i * row, from.data() + i_from * row, row);
  }
}

void copy_as_f32(const SafetensorsTensor& tensor, std::span<const std::byte> from, std::byte* to) {
  if (tensor.type == GGML_TYPE_F32) {
    std::memcpy(to, from.data(), from.size());
    return;
  }
  std::vector<uint16_t> values(from.size() / sizeof(uint16_t));  // aligned, as the file is not
  std::memcpy(values.data(), from.data(), from.size());
  ggml_get_type_traits(tensor.type)
      ->to_float(values.data(), reinterpret_cast<float*>(to), static_cast<int64_t>(values.size()));
}

void copy_tensor(const ShardedSafetensors& weights, const TensorPlan& plan, std::byte* to) {
  const SafetensorsTensor& tensor = weights.tensors().find(plan.from)->second;
  const std::span<const std::byte> from = weights.data(tensor);
  if (plan.shape.size() == 1) {
    copy_as_f32(tensor, from, to);
  } else if (plan.n_rope_heads > 0) {
    copy_rope_rows(from, plan, to);
  } else {
    std::memcpy(to, from.data(), from.size());
  }
  drop_mapped_pages(from);
}

}  // namespace

GgufFile dllm_checkpoint_as_gguf(const std::string& folder) {
  const DllmConfig config = read_dllm_config(folder);
  const ShardedSafetensors weights = ShardedSafetensors::open(folder);
  const std::vector<TensorPlan> plans = tensor_plans(config);
  check_tensors(folder, weights, plans);

  const std::unique_ptr<gguf_context, decltype(&gguf_free)> gguf(gguf_init_empty(), gguf_free);
  Metadata metadata(gguf.get());
  write_sizes(metadata, config, folder);
  if (const auto vocabulary = read_bpe_vocabulary(folder, config.n_vocab)) {
    write_vocabulary(metadata, config, *vocabulary);
  } else {
    metadata.text("tokenizer.ggml.model", "none");
  }
  ggml_init_params params{};
  params.mem_size = ggml_tensor_overhead() * plans.size();
  params.no_alloc = true;
  const std::unique_ptr<ggml_context, decltype(&ggml_free)> ctx(ggml_init(params), ggml_free);
  if (ctx == nullptr) throw Error(fmt::format("{}: out of memory; take a smaller model", folder));
  size_t n_data = 0;
  for (const TensorPlan& plan : plans) {
    const std::vector<int64_t> ne(plan.shape.rbegin(), plan.shape.rend());
    const ggml_type type =
        ne.size() == 1 ? GGML_TYPE_F32 : weights.tensors().find(plan.from)->second.type;
    ggml_tensor* tensor = ggml_new_tensor(ctx.get(), type, static_cast<int>(ne.size()), ne.data());
    ggml_set_name(tensor, plan.to.c_str());
    gguf_add_tensor(gguf.get(), tensor);
    n_data = gguf_get_tensor_offset(gguf.get(), gguf_get_n_tensors(gguf.get()) - 1) +
             ggml_nbytes(tensor);
  }
  const size_t n_header = gguf_get_meta_size(gguf.get());
  HugePages memory = allocate_huge_pages(n_header + n_data);
  if (memory == nullptr) {
    throw Error(
        fmt::format("{}: the weights need {} bytes of memory, which are not free; quantise "
                    "the model to GGUF with tools/convert_dllm.py",
                    folder, n_header + n_data));
  }
  gguf_get_meta_data(gguf.get(), memory.get());
  for (size_t i = 0; i < plans.size(); ++i) {
    copy_tensor(
        weights, plans[i],
        memory.get() + n_header + gguf_get_tensor_offset(gguf.get(), static_cast<int64_t>(i)));
  }
  return GgufFile::parse(folder, std::move(memory), n_header + n_data);
}

}  // namespace reprise
