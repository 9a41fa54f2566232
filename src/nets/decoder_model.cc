#include "nets/decoder_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string_view>

#include "core/error.h"
#include "core/printable.h"
#include "core/resident_memory.h"
#include "ggml-cpu.h"

namespace reprise {
namespace {

constexpr size_t kGgmlAlignment = 64;       // of our copies
constexpr uintptr_t kTensorAlignment = 32;  // that ggml asserts
constexpr int64_t kMaxVocab = 1 << 24;

}  // namespace

// Binds tensors of the file to the model, checking each shape.
class DecoderLoader {
 public:
  DecoderLoader(std::shared_ptr<const GgufFile> file, const WeightPlace& place)
      : model_(new DecoderModel),
        device_(place.memory != nullptr && !ggml_backend_buft_is_host(place.memory) ? place.memory
                                                                                    : nullptr),
        host_(place.host) {
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
    if (model_->ctx_ == nullptr)
      throw Error(fmt::format("{}: out of memory; take a smaller model", file.path()));
    if (device_ == nullptr) place_on_host(file);

    if (const GgufTensor* embd = file.find("token_embd.weight")) {
      if (embd->ne[1] > kMaxVocab) {
        throw Error(fmt::format("{}: 'token_embd.weight' has {} rows, at most {} are taken",
                                file.path(), embd->ne[1], kMaxVocab));
      }
      hp.n_vocab = static_cast<int32_t>(embd->ne[1]);
    }
    if (hp.mask_token >= hp.n_vocab && hp.n_vocab > 0) {
      throw Error(fmt::format(
          "{}: tokenizer.ggml.mask_token_id is {}, 'token_embd.weight' has {} rows; convert the "
          "model again",
          file.path(), hp.mask_token, hp.n_vocab));
    }
    model_->tok_embd_ = need_matrix("token_embd.weight", {hp.n_embd, hp.n_vocab});
    model_->output_norm_ = need_f32("output_norm.weight", {hp.n_embd});
    model_->output_ = want_matrix("output.weight", {hp.n_embd, hp.n_vocab});
    if (model_->output_ == nullptr) model_->output_ = model_->tok_embd_;
    ggml_tensor* rope_freqs = want_f32("rope_freqs.weight", {hp.n_rot / 2});
    if (rope_freqs != nullptr && hp.n_rot < hp.n_embd_head) {
      // ggml would read a factor for every pair of the head, beyond the tensor's end.
      throw Error(fmt::format(
          "{}: 'rope_freqs.weight' for heads of {} values of which {} are rotated is not built in; "
          "take another model",
          file.path(), hp.n_embd_head, hp.n_rot));
    }
    for (int32_t il = 0; il < hp.n_layer; ++il) {
      model_->layers_.push_back(layer(il));
      model_->layers_.back().rope_freqs = hp.is_swa[il] ? nullptr : rope_freqs;
    }
    check_all_bound();
    if (device_ != nullptr) upload();
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
    l.wq = need_matrix(name("attn_q.weight"), {hp.n_embd, n_q});
    l.wk = need_matrix(name("attn_k.weight"), {hp.n_embd, n_kv});
    l.wv = need_matrix(name("attn_v.weight"), {hp.n_embd, n_kv});
    l.wo = need_matrix(name("attn_output.weight"), {n_q, hp.n_embd});
    l.bq = want_f32(name("attn_q.bias"), {n_q});
    l.bk = want_f32(name("attn_k.bias"), {n_kv});
    l.bv = want_f32(name("attn_v.bias"), {n_kv});
    l.bo = want_f32(name("attn_output.bias"), {hp.n_embd});
    if (hp.arch == "qwen3" || hp.arch == "gemma3") {
      l.attn_q_norm = need_f32(name("attn_q_norm.weight"), {hp.n_embd_head});
      l.attn_k_norm = need_f32(name("attn_k_norm.weight"), {hp.n_embd_head});
    }
    l.ffn_norm = need_f32(name("ffn_norm.weight"), {hp.n_embd});
    l.ffn_gate = need_matrix(name("ffn_gate.weight"), {hp.n_embd, hp.n_ff});
    l.ffn_up = need_matrix(name("ffn_up.weight"), {hp.n_embd, hp.n_ff});
    l.ffn_down = need_matrix(name("ffn_down.weight"), {hp.n_ff, hp.n_embd});
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
    bound_.insert(found->name);
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

  // A matrix is multiplied with F32 columns, and its rows are looked up: the CPU backend takes the
  // same types for both, and aborts on the others.
  ggml_tensor* checked_matrix(const std::string& name, ggml_tensor* tensor) {
    if (tensor != nullptr && ggml_get_type_traits_cpu(tensor->type)->vec_dot == nullptr) {
      throw Error(
          fmt::format("{}: '{}' has type {}, which holds no weights; convert the model again",
                      model_->file_->path(), name, ggml_type_name(tensor->type)));
    }
    return tensor;
  }
  ggml_tensor* want_matrix(const std::string& name, std::initializer_list<int64_t> ne) {
    return checked_matrix(name, want(name, ne));
  }
  ggml_tensor* need_matrix(const std::string& name, std::initializer_list<int64_t> ne) {
    return checked_matrix(name, need(name, ne));
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

  // A tensor that we would leave out changes what the model computes.
  void check_all_bound() {
    for (const GgufTensor& tensor : model_->file_->tensors()) {
      if (bound_.count(tensor.name) != 0) continue;
      throw Error(
          fmt::format("{}: tensor '{}' is none of architecture '{}' with {} layers; such "
                      "models are not built in",
                      model_->file_->path(), printable(tensor.name), model_->hparams_.arch,
                      model_->hparams_.n_layer));
    }
  }

  // Declares the file's bytes as a buffer of ggml, which must begin aligned: bytes in front of
  // them, if any, hold no tensor.
  void map(std::span<const std::byte> bytes) {
    const uintptr_t excess = reinterpret_cast<uintptr_t>(bytes.data()) % kTensorAlignment;
    // The CPU never writes into weights; ggml's interface alone asks for a mutable pointer.
    mapped_ = ggml_backend_cpu_buffer_from_ptr(const_cast<std::byte*>(bytes.data()) - excess,
                                               bytes.size() + excess);
    ggml_backend_buffer_set_usage(mapped_, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    model_->buffers_.push_back(mapped_);
  }

  void place_on_host(const GgufFile& file) {
    const auto n_bytes = static_cast<int64_t>(file.bytes().size());
    const bool copies =
        file.is_mapped() && (host_ == WeightPlace::Host::kCopied ||
                             (host_ == WeightPlace::Host::kAuto && has_huge_pages() &&
                              4 * n_bytes < available_memory()));
    if (!copies || !copy(file)) map(file.bytes());
  }

  // Copies all tensors, at the same distances from each other. False when memory is short.
  bool copy(const GgufFile& file) {
    size_t begin = file.bytes().size();
    size_t end = 0;
    for (const GgufTensor& tensor : file.tensors()) {
      begin = std::min(begin, tensor.offset / kGgmlAlignment * kGgmlAlignment);
      end = std::max(end, tensor.offset + tensor.n_bytes);
    }
    if (end <= begin) return false;
    const std::span<const std::byte> bytes = file.bytes().subspan(begin, end - begin);
    model_->copy_ = allocate_huge_pages(bytes.size());
    if (model_->copy_ == nullptr) return false;
    std::memcpy(model_->copy_.get(), bytes.data(), bytes.size());
    drop_mapped_pages(bytes);
    copied_from_ = bytes.data();
    map({model_->copy_.get(), bytes.size()});
    return true;
  }

  void bind(ggml_tensor* tensor, std::span<const std::byte> data) {
    model_->n_weight_bytes_ += static_cast<int64_t>(data.size());
    if (device_ != nullptr) {
      uploads_.emplace_back(tensor, data);
      return;
    }
    ggml_backend_buffer_t buffer = mapped_;
    if (copied_from_ != nullptr)
      data = {model_->copy_.get() + (data.data() - copied_from_), data.size()};
    auto* pointer = const_cast<std::byte*>(data.data());
    if (reinterpret_cast<uintptr_t>(pointer) % kTensorAlignment != 0) {
      const size_t size = (data.size() + kGgmlAlignment - 1) / kGgmlAlignment * kGgmlAlignment;
      auto* copy = static_cast<std::byte*>(std::aligned_alloc(kGgmlAlignment, size));
      if (copy == nullptr)
        throw Error(fmt::format("{}: out of memory for '{}'; take a smaller model",
                                model_->file_->path(), tensor->name));
      std::memcpy(copy, data.data(), data.size());
      model_->copies_.emplace_back(copy, [](std::byte* p) { std::free(p); });
      buffer = ggml_backend_cpu_buffer_from_ptr(copy, size);
      model_->buffers_.push_back(buffer);
      pointer = copy;
    }
    ggml_backend_tensor_alloc(buffer, tensor, pointer);
  }

  void upload() {
    ggml_backend_buffer_t buffer = ggml_backend_alloc_ctx_tensors_from_buft(model_->ctx_, device_);
    if (buffer == nullptr) {
      throw Error(fmt::format(
          "{}: the weights need {} bytes in the memory of {}, which are not free; use "
          "a smaller model or --device cpu",
          model_->file_->path(), model_->n_weight_bytes_, ggml_backend_buft_name(device_)));
    }
    ggml_backend_buffer_set_usage(buffer, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    model_->buffers_.push_back(buffer);
    for (const auto& [tensor, data] : uploads_) {
      ggml_backend_tensor_set(tensor, data.data(), 0, data.size());
    }
  }

  std::unique_ptr<DecoderModel> model_;
  ggml_backend_buffer_type_t device_;  // null: the weights stay on the host
  WeightPlace::Host host_;
  const std::byte* copied_from_ = nullptr;  // in the file; null without a copy
  std::vector<std::pair<ggml_tensor*, std::span<const std::byte>>> uploads_;
  ggml_backend_buffer_t mapped_ = nullptr;
  std::set<std::string_view> bound_;  // tensors of the file that the model uses
};

std::shared_ptr<const DecoderModel> DecoderModel::load(std::shared_ptr<const GgufFile> file,
                                                       const WeightPlace& place) {
  return DecoderLoader(std::move(file), place).load();
}

std::shared_ptr<const DecoderModel> DecoderModel::with_prompt_layers(
    std::shared_ptr<const DecoderModel> model, std::vector<DecoderLayer> layers,
    std::shared_ptr<const void> memory) {
  std::shared_ptr<DecoderModel> made(new DecoderModel);
  made->file_ = model->file_;
  made->hparams_ = model->hparams_;
  made->layers_ = model->layers_;
  made->prompt_layers_ = std::move(layers);
  made->prompt_memory_ = std::move(memory);
  made->tok_embd_ = model->tok_embd_;
  made->output_norm_ = model->output_norm_;
  made->output_ = model->output_;
  made->n_weight_bytes_ = model->n_weight_bytes_;
  made->original_ = std::move(model);
  return made;
}

DecoderModel::~DecoderModel() {
  for (ggml_backend_buffer_t buffer : buffers_) ggml_backend_buffer_free(buffer);
  ggml_free(ctx_);
}

}  // namespace reprise
