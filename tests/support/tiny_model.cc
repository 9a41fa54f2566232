#include "support/tiny_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "gguf.h"

namespace reprise::test {
namespace {

class Writer {
 public:
  explicit Writer(const TinyModel& model)
      : model_(model), rng_(model.seed), gguf_(gguf_init_empty(), gguf_free) {
    ggml_init_params params{};
    params.mem_size = size_t{64} << 20;
    ctx_ = {ggml_init(params), ggml_free};
  }

  void metadata() {
    const std::string a = model_.arch + ".";
    text("general.architecture", model_.arch);
    text("tokenizer.ggml.model", "none");
    count(a + "vocab_size", model_.n_vocab);
    count(a + "context_length", model_.n_ctx);
    count(a + "embedding_length", model_.n_embd);
    count(a + "block_count", model_.n_layer);
    count(a + "feed_forward_length", model_.n_ff);
    count(a + "attention.head_count", model_.n_head);
    count(a + "attention.head_count_kv", model_.n_head_kv);
    count(a + "attention.key_length", model_.n_embd_head);
    count(a + "attention.value_length", model_.n_embd_head);
    count(a + "rope.dimension_count", model_.n_embd_head);
    gguf_set_val_f32(gguf_.get(), (a + "attention.layer_norm_rms_epsilon").c_str(), 1e-5F);
    gguf_set_val_f32(gguf_.get(), (a + "rope.freq_base").c_str(), 100000.0F);
    if (model_.arch == "gemma3") count(a + "attention.sliding_window", model_.n_swa);
  }

  void tensors() {
    const TinyModel& m = model_;
    const int64_t n_q = int64_t{m.n_embd_head} * m.n_head;
    const int64_t n_kv = int64_t{m.n_embd_head} * m.n_head_kv;
    matrix("token_embd.weight", m.n_embd, m.n_vocab);
    vector("output_norm.weight", m.n_embd, 1);
    if (m.arch == "llama") matrix("output.weight", m.n_embd, m.n_vocab);
    for (int32_t il = 0; il < m.n_layer; ++il) {
      const std::string l = "blk." + std::to_string(il) + ".";
      vector(l + "attn_norm.weight", m.n_embd, 1);
      matrix(l + "attn_q.weight", m.n_embd, n_q);
      matrix(l + "attn_k.weight", m.n_embd, n_kv);
      matrix(l + "attn_v.weight", m.n_embd, n_kv);
      matrix(l + "attn_output.weight", n_q, m.n_embd);
      if (m.arch == "qwen2") {
        vector(l + "attn_q.bias", n_q, 0);
        vector(l + "attn_k.bias", n_kv, 0);
        vector(l + "attn_v.bias", n_kv, 0);
      }
      if (m.arch == "qwen3" || m.arch == "gemma3") {
        vector(l + "attn_q_norm.weight", m.n_embd_head, 1);
        vector(l + "attn_k_norm.weight", m.n_embd_head, 1);
      }
      vector(l + "ffn_norm.weight", m.n_embd, 1);
      matrix(l + "ffn_gate.weight", m.n_embd, m.n_ff);
      matrix(l + "ffn_up.weight", m.n_embd, m.n_ff);
      matrix(l + "ffn_down.weight", m.n_ff, m.n_embd);
      if (m.arch == "gemma3") {
        vector(l + "post_attention_norm.weight", m.n_embd, 1);
        vector(l + "post_ffw_norm.weight", m.n_embd, 1);
      }
    }
  }

  gguf_context* gguf() const { return gguf_.get(); }

  bool save(const std::string& path) {
    return gguf_write_to_file(gguf_.get(), path.c_str(), false);
  }

 private:
  void text(const std::string& key, const std::string& value) {
    gguf_set_val_str(gguf_.get(), key.c_str(), value.c_str());
  }
  void count(const std::string& key, int32_t value) {
    gguf_set_val_u32(gguf_.get(), key.c_str(), value);
  }

  std::vector<float> draw(int64_t n, float mean, float deviation) {
    std::normal_distribution<float> normal(mean, deviation);
    std::vector<float> values(n);
    for (float& value : values) value = normal(rng_);
    return values;
  }
  void matrix(const std::string& name, int64_t ne0, int64_t ne1) {
    add({.name = name, .type = model_.type, .ne0 = ne0, .ne1 = ne1}, 0,
        1.5F / std::sqrt(static_cast<float>(ne0)));
  }
  void vector(const std::string& name, int64_t ne0, float mean) {
    add({.name = name, .type = GGML_TYPE_F32, .ne0 = ne0, .ne1 = 1}, mean, 0.2F);
  }
  void add(TinyTensor tensor, float mean, float deviation) {
    if (model_.edit_tensor && !model_.edit_tensor(tensor)) return;
    const auto [name, type, ne0, ne1, is_zero, row_begin, row_end] = tensor;
    std::vector<float> values = draw(ne0 * ne1, mean, deviation);
    for (int64_t row = 0; row < ne1; ++row) {
      if (row < row_begin || row >= row_end) std::fill_n(values.begin() + row * ne0, ne0, 0.0F);
    }
    ggml_tensor* out = ggml_new_tensor_2d(ctx_.get(), type, ne0, ne1);
    const bool is_weight = type == GGML_TYPE_F32 || ggml_get_type_traits(type)->to_float != nullptr;
    if (is_zero || !is_weight) {
      std::memset(out->data, 0, ggml_nbytes(out));
    } else {
      ggml_quantize_chunk(type, values.data(), out->data, 0, ne1, ne0, nullptr);
    }
    ggml_set_name(out, name.c_str());
    gguf_add_tensor(gguf_.get(), out);
  }

  const TinyModel& model_;
  std::mt19937 rng_;
  std::unique_ptr<gguf_context, decltype(&gguf_free)> gguf_;
  std::unique_ptr<ggml_context, decltype(&ggml_free)> ctx_{nullptr, ggml_free};
};

}  // namespace

void write_tiny_model(const TinyModel& model, const std::string& path) {
  Writer writer(model);
  writer.metadata();
  writer.tensors();
  if (model.edit_metadata) model.edit_metadata(writer.gguf());
  if (!writer.save(path)) throw std::runtime_error("cannot write " + path);
}

}  // namespace reprise::test
