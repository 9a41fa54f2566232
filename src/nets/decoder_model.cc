#include "nets/decoder_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "core/error.h"
#include "ggml-cpu.h"

namespace reprise {
namespace {

constexpr size_t kGgmlAlignment = 64;

// An integer of the metadata in [low, high]. Throws Error.
int32_t size_of(const GgufFile& file, const std::string& key, int64_t low, int64_t high) {
  const int64_t value = file.integer(key);
  if (value < low || value > high) {
    throw Error(fmt::format("{}: {} is {}, expected {} to {}; convert the model again", file.path(),
                            key, value, low, high));
  }
  return static_cast<int32_t>(value);
}

void read_rope(const GgufFile& file, DecoderHparams& hp) {
  const std::string rope = hp.arch + ".rope.";
  hp.n_rot = file.has(rope + "dimension_count")
                 ? size_of(file, rope + "dimension_count", 2, hp.n_embd_head)
                 : hp.n_embd_head;
  hp.rope_type = hp.arch == "llama" ? GGML_ROPE_TYPE_NORMAL : GGML_ROPE_TYPE_NEOX;
  hp.rope_freq_base = static_cast<float>(file.real_or(rope + "freq_base", 10000));
  hp.rope_freq_base_swa = static_cast<float>(file.real_or(rope + "freq_base_swa", 10000));
  const std::string scaling = file.string_or(rope + "scaling.type", "linear");
  const double factor =
      file.real_or(rope + "scaling.factor", file.real_or(rope + "scale_linear", 0));
  hp.n_ctx_orig = static_cast<int32_t>(
      file.integer_or(rope + "scaling.original_context_length", hp.n_ctx_train));
  hp.rope_attn_factor = static_cast<float>(file.real_or(rope + "scaling.attn_factor", 1));
  if (scaling == "linear" || scaling == "yarn") {
    hp.rope_freq_scale = factor > 0 ? static_cast<float>(1 / factor) : 1;
    hp.rope_ext_factor = scaling == "yarn" ? 1 : 0;
  } else if (scaling != "none") {
    throw Error(fmt::format(
        "{}: RoPE scaling '{}' is not built in; linear, yarn, none and frequency factors are",
        file.path(), scaling));
  }
  const bool finite = std::isfinite(hp.rope_freq_base) && std::isfinite(hp.rope_freq_base_swa) &&
                      std::isfinite(hp.rope_freq_scale) && std::isfinite(hp.rope_attn_factor);
  if (hp.n_rot % 2 != 0 || !finite || hp.rope_freq_base <= 0 || hp.rope_freq_base_swa <= 0) {
    throw Error(fmt::format("{}: the RoPE constants ({}*) are not usable; convert the model again",
                            file.path(), rope));
  }
}

void read_sliding_window(const GgufFile& file, DecoderHparams& hp) {
  hp.is_swa.assign(hp.n_layer, false);
  const std::string key = hp.arch + ".attention.sliding_window";
  if (hp.arch != "gemma3" || file.integer_or(key, 0) == 0) return;
  hp.n_swa = size_of(file, key, 1, 1 << 30);
  const int64_t pattern = file.integer_or(key + "_pattern", 6);
  if (pattern < 1 || pattern > 1024) {
    throw Error(fmt::format("{}: {}_pattern is {}, expected 1 to 1024; convert the model again",
                            file.path(), key, pattern));
  }
  for (int32_t il = 0; il < hp.n_layer; ++il) hp.is_swa[il] = il % pattern < pattern - 1;
}

}  // namespace

DecoderHparams decoder_hparams(const GgufFile& file) {
  DecoderHparams hp;
  hp.arch = file.string("general.architecture");
  constexpr std::array<std::string_view, 4> kKnown = {"llama", "qwen2", "qwen3", "gemma3"};
  if (std::find(kKnown.begin(), kKnown.end(), hp.arch) == kKnown.end()) {
    throw Error(
        fmt::format("{}: architecture '{}' is not built in; llama, qwen2, qwen3 and gemma3 are",
                    file.path(), hp.arch));
  }
  const std::string& a = hp.arch;
  hp.name = file.string_or("general.name", "");
  hp.n_ctx_train = size_of(file, a + ".context_length", 1, 1 << 30);
  hp.n_embd = size_of(file, a + ".embedding_length", 1, 1 << 20);
  hp.n_layer = size_of(file, a + ".block_count", 1, 1024);
  hp.n_ff = size_of(file, a + ".feed_forward_length", 1, 1 << 22);
  hp.n_head = size_of(file, a + ".attention.head_count", 1, 4096);
  hp.n_head_kv = file.has(a + ".attention.head_count_kv")
                     ? size_of(file, a + ".attention.head_count_kv", 1, hp.n_head)
                     : hp.n_head;
  if (file.integer_or(a + ".expert_count", 0) != 0) {
    throw Error(
        fmt::format("{}: mixture-of-experts layers are not built in for '{}'", file.path(), a));
  }
  if (hp.n_head % hp.n_head_kv != 0) {
    throw Error(
        fmt::format("{}: {} query heads cannot share {} KV heads evenly; convert the model again",
                    file.path(), hp.n_head, hp.n_head_kv));
  }
  const std::string key_length = a + ".attention.key_length";
  if (file.has(key_length)) {
    hp.n_embd_head = size_of(file, key_length, 2, 1024);
    if (file.integer_or(a + ".attention.value_length", hp.n_embd_head) != hp.n_embd_head) {
      throw Error(
          fmt::format("{}: keys and values of different lengths are not built in", file.path()));
    }
  } else {
    if (hp.n_embd % hp.n_head != 0) {
      throw Error(fmt::format("{}: n_embd {} is no multiple of {} heads; convert the model again",
                              file.path(), hp.n_embd, hp.n_head));
    }
    hp.n_embd_head = hp.n_embd / hp.n_head;
  }
  hp.rms_eps = static_cast<float>(file.real(a + ".attention.layer_norm_rms_epsilon"));
  if (!(hp.rms_eps > 0 && hp.rms_eps < 1)) {
    throw Error(
        fmt::format("{}: {}.attention.layer_norm_rms_epsilon is {}, expected above 0 and below 1",
                    file.path(), a, hp.rms_eps));
  }
  hp.attn_scale = 1.0F / std::sqrt(static_cast<float>(hp.n_embd_head));
  if (a == "gemma3") {
    hp.activation = Activation::kGelu;
    hp.embd_scale = std::sqrt(static_cast<float>(hp.n_embd));
    // The 27B model alone scales by its nominal head size. Source: gemma_pytorch, config.py.
    if (hp.n_layer == 62)
      hp.attn_scale = 1.0F / std::sqrt(static_cast<float>(hp.n_embd) / hp.n_head);
    if (file.real_or(a + ".final_logit_softcapping", 0) != 0) {
      throw Error(fmt::format("{}: soft-capped logits are not built in", file.path()));
    }
  }
  read_rope(file, hp);
  read_sliding_window(file, hp);
  return hp;
}

// Binds tensors of the file to the model, checking each shape.
class DecoderLoader {
 public:
  explicit DecoderLoader(std::shared_ptr<const GgufFile> file) : model_(new DecoderModel) {
    model_->file_ = std::move(file);
    model_->hparams_ = decoder_hparams(*model_->file_);
  }

  std::shared_ptr<const DecoderModel> load() {
    DecoderHparams& hp = model_->hparams_;
    const GgufFile& file = *model_->file_;
    ggml_init_params params{};
    params.mem_size = ggml_tensor_overhead() * (file.tensors().size() + 1);
    params.no_alloc = true;
    model_->ctx_ = ggml_init(params);
    std::span<const std::byte> bytes = file.bytes();
    // The CPU never writes into weights; ggml's interface alone asks for a mutable pointer.
    mapped_ = ggml_backend_cpu_buffer_from_ptr(const_cast<std::byte*>(bytes.data()), bytes.size());
    ggml_backend_buffer_set_usage(mapped_, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    model_->buffers_.push_back(mapped_);

    const GgufTensor* embd = file.find("token_embd.weight");
    if (embd != nullptr) hp.n_vocab = static_cast<int32_t>(embd->ne[1]);
    model_->tok_embd_ = need("token_embd.weight", {hp.n_embd, hp.n_vocab});
    model_->output_norm_ = need_f32("output_norm.weight", {hp.n_embd});
    model_->output_ = want("output.weight", {hp.n_embd, hp.n_vocab});
    if (model_->output_ == nullptr) model_->output_ = model_->tok_embd_;
    ggml_tensor* rope_freqs = want_f32("rope_freqs.weight", {hp.n_rot / 2});
    for (int32_t il = 0; il < hp.n_layer; ++il) {
      model_->layers_.push_back(layer(il));
      model_->layers_.back().rope_freqs = hp.is_swa[il] ? nullptr : rope_freqs;
    }
    return std::shared_ptr<const DecoderModel>(model_.release());
  }

 private:
  DecoderLayer layer(int32_t il) {
    const DecoderHparams& hp = model_->hparams_;
    const int64_t n_q = static_cast<int64_t>(hp.n_embd_head) * hp.n_head;
    const int64_t n_kv = static_cast<int64_t>(hp.n_embd_head) * hp.n_head_kv;
    const auto name = [il](std::string_view part) { return fmt::format("blk.{}.{}", il, part); };
    DecoderLayer l;
    l.attn_norm = need_f32(name("attn_norm.weight"), {hp.n_embd});
    l.wq = need(name("attn_q.weight"), {hp.n_embd, n_q});
    l.wk = need(name("attn_k.weight"), {hp.n_embd, n_kv});
    l.wv = need(name("attn_v.weight"), {hp.n_embd, n_kv});
    l.wo = need(name("attn_output.weight"), {n_q, hp.n_embd});
    l.bq = want_f32(name("attn_q.bias"), {n_q});
    l.bk = want_f32(name("attn_k.bias"), {n_kv});
    l.bv = want_f32(name("attn_v.bias"), {n_kv});
    l.bo = want_f32(name("attn_output.bias"), {hp.n_embd});
    if (hp.arch == "qwen3" || hp.arch == "gemma3") {
      l.attn_q_norm = need_f32(name("attn_q_norm.weight"), {hp.n_embd_head});
      l.attn_k_norm = need_f32(name("attn_k_norm.weight"), {hp.n_embd_head});
    }
    l.ffn_norm = need_f32(name("ffn_norm.weight"), {hp.n_embd});
    l.ffn_gate = need(name("ffn_gate.weight"), {hp.n_embd, hp.n_ff});
    l.ffn_up = need(name("ffn_up.weight"), {hp.n_embd, hp.n_ff});
    l.ffn_down = need(name("ffn_down.weight"), {hp.n_ff, hp.n_embd});
    if (hp.arch == "gemma3") {
      l.attn_post_norm = need_f32(name("post_attention_norm.weight"), {hp.n_embd});
      l.ffn_post_norm = need_f32(name("post_ffw_norm.weight"), {hp.n_embd});
    }
    return l;
  }

  ggml_tensor* want(const std::string& name, std::initializer_list<int64_t> ne) {
    const GgufFile& file = *model_->file_;
    const GgufTensor* found = file.find(name);
    if (found == nullptr) return nullptr;
    std::array<int64_t, 4> want_ne = {1, 1, 1, 1};
    std::copy(ne.begin(), ne.end(), want_ne.begin());
    if (!std::equal(want_ne.begin(), want_ne.end(), found->ne)) {
      throw Error(
          fmt::format("{}: '{}' has shape [{}, {}, {}, {}], expected [{}]; convert the model again",
                      file.path(), name, found->ne[0], found->ne[1], found->ne[2], found->ne[3],
                      fmt::join(want_ne, ", ")));
    }
    ggml_tensor* tensor = ggml_new_tensor(model_->ctx_, found->type, 4, found->ne);
    ggml_set_name(tensor, name.c_str());
    bind(tensor, file.data(*found));
    return tensor;
  }

  ggml_tensor* need(const std::string& name, std::initializer_list<int64_t> ne) {
    ggml_tensor* tensor = want(name, ne);
    if (tensor == nullptr) {
      throw Error(
          fmt::format("{}: tensor '{}' is missing ({} layers declared); fetch the file again",
                      model_->file_->path(), name, model_->hparams_.n_layer));
    }
    return tensor;
  }

  // Norms, biases and frequency factors are added or multiplied in F32: ggml has no other form of
  // them.
  ggml_tensor* checked_f32(const std::string& name, ggml_tensor* tensor) {
    if (tensor != nullptr && tensor->type != GGML_TYPE_F32) {
      throw Error(fmt::format("{}: '{}' has type {}, expected f32; convert the model again",
                              model_->file_->path(), name, ggml_type_name(tensor->type)));
    }
    return tensor;
  }
  ggml_tensor* want_f32(const std::string& name, std::initializer_list<int64_t> ne) {
    return checked_f32(name, want(name, ne));
  }
  ggml_tensor* need_f32(const std::string& name, std::initializer_list<int64_t> ne) {
    return checked_f32(name, need(name, ne));
  }

  void bind(ggml_tensor* tensor, std::span<const std::byte> data) {
    model_->n_weight_bytes_ += static_cast<int64_t>(data.size());
    ggml_backend_buffer_t buffer = mapped_;
    auto* pointer = const_cast<std::byte*>(data.data());
    if (reinterpret_cast<uintptr_t>(pointer) % 32 != 0) {
      const size_t size = (data.size() + kGgmlAlignment - 1) / kGgmlAlignment * kGgmlAlignment;
      auto* copy = static_cast<std::byte*>(std::aligned_alloc(kGgmlAlignment, size));
      if (copy == nullptr)
        throw Error(fmt::format("{}: out of memory for '{}'", model_->file_->path(), tensor->name));
      std::memcpy(copy, data.data(), data.size());
      model_->copies_.emplace_back(copy, [](std::byte* p) { std::free(p); });
      buffer = ggml_backend_cpu_buffer_from_ptr(copy, size);
      model_->buffers_.push_back(buffer);
      pointer = copy;
    }
    ggml_backend_tensor_alloc(buffer, tensor, pointer);
  }

  std::unique_ptr<DecoderModel> model_;
  ggml_backend_buffer_t mapped_ = nullptr;
};

std::shared_ptr<const DecoderModel> DecoderModel::load(std::shared_ptr<const GgufFile> file) {
  return DecoderLoader(std::move(file)).load();
}

DecoderModel::~DecoderModel() {
  for (ggml_backend_buffer_t buffer : buffers_) ggml_backend_buffer_free(buffer);
  ggml_free(ctx_);
}

}  // namespace reprise
