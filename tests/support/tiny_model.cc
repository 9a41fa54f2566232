#include "support/tiny_model.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "gguf.h"

namespace reprise::test {
namespace {

// The characters with which GPT-2's alphabet writes bytes: printable ones stand for themselves, the
// others are moved to U+0100 and on.
std::string byte_character(int32_t byte, int32_t& n_moved) {
  const bool is_printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte != 0xad);
  const int32_t code = is_printable ? byte : 0x100 + n_moved++;
  if (code < 0x80) return {static_cast<char>(code)};
  return {static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 0x3f))};
}

// Token types as libllama numbers them.
enum TokenType : int32_t { kNormal = 1, kControl = 3 };

struct Vocabulary {
  std::vector<std::string> tokens;
  std::vector<int32_t> types;

  Vocabulary() {
    int32_t n_moved = 0;
    for (int32_t byte = 0; byte < 256; ++byte) tokens.push_back(byte_character(byte, n_moved));
    tokens.emplace_back("he");
    types.assign(tokens.size(), kNormal);
    for (const char* control : {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}) {
      tokens.emplace_back(control);
      types.push_back(kControl);
    }
  }
  int32_t id(const std::string& token) const {
    return static_cast<int32_t>(std::find(tokens.begin(), tokens.end(), token) - tokens.begin());
  }
};

class Writer {
 public:
  explicit Writer(const TinyModel& model)
      : model_(model), rng_(model.seed), gguf_(gguf_init_empty(), gguf_free) {
    if (model_.has_vocabulary) model_.n_vocab = static_cast<int32_t>(vocabulary_.tokens.size());
    ggml_init_params params{};
    params.mem_size = size_t{64} << 20;
    ctx_ = {ggml_init(params), ggml_free};
  }

  void metadata() {
    const std::string a = model_.arch + ".";
    text("general.architecture", model_.arch);
    if (model_.has_vocabulary) {
      vocabulary();
    } else {
      text("tokenizer.ggml.model", "none");
    }
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
    if (m.arch == "llama") {
      // A row of zeros gives the logit 0, which the best of 95 random ones beats.
      const auto is_silent = [&](int64_t token) {
        return m.has_vocabulary && (token < 0x20 || token >= 0x7f);
      };
      matrix("output.weight", m.n_embd, m.n_vocab, is_silent);
    }
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
  void texts(const std::string& key, const std::vector<std::string>& values) {
    std::vector<const char*> pointers;
    for (const std::string& value : values) pointers.push_back(value.c_str());
    gguf_set_arr_str(gguf_.get(), key.c_str(), pointers.data(), pointers.size());
  }
  void vocabulary() {
    text("tokenizer.ggml.model", "gpt2");
    text("tokenizer.ggml.pre", "gpt-2");
    texts("tokenizer.ggml.tokens", vocabulary_.tokens);
    gguf_set_arr_data(gguf_.get(), "tokenizer.ggml.token_type", GGUF_TYPE_INT32,
                      vocabulary_.types.data(), vocabulary_.types.size());
    texts("tokenizer.ggml.merges", {"h e"});
    count("tokenizer.ggml.bos_token_id", vocabulary_.id("<|im_start|>"));
    count("tokenizer.ggml.eos_token_id", vocabulary_.id("<|im_end|>"));
    text("tokenizer.chat_template", kChatMl);
  }

  std::vector<float> draw(int64_t n, float mean, float deviation) {
    std::normal_distribution<float> normal(mean, deviation);
    std::vector<float> values(n);
    for (float& value : values) value = normal(rng_);
    return values;
  }
  void matrix(
      const std::string& name, int64_t ne0, int64_t ne1,
      const std::function<bool(int64_t)>& is_zero_row = [](int64_t) { return false; }) {
    std::vector<float> values = draw(ne0 * ne1, 0, 1.5F / std::sqrt(static_cast<float>(ne0)));
    for (int64_t row = 0; row < ne1; ++row) {
      if (is_zero_row(row)) std::fill_n(values.begin() + row * ne0, ne0, 0.0F);
    }
    ggml_tensor* tensor = ggml_new_tensor_2d(ctx_.get(), model_.type, ne0, ne1);
    ggml_quantize_chunk(model_.type, values.data(), tensor->data, 0, ne1, ne0, nullptr);
    add(tensor, name);
  }
  void vector(const std::string& name, int64_t ne0, float mean) {
    const std::vector<float> values = draw(ne0, mean, 0.2F);
    ggml_tensor* tensor = ggml_new_tensor_1d(ctx_.get(), GGML_TYPE_F32, ne0);
    std::copy(values.begin(), values.end(), static_cast<float*>(tensor->data));
    add(tensor, name);
  }
  void add(ggml_tensor* tensor, const std::string& name) {
    ggml_set_name(tensor, name.c_str());
    gguf_add_tensor(gguf_.get(), tensor);
  }

  TinyModel model_;
  Vocabulary vocabulary_;
  std::mt19937 rng_;
  std::unique_ptr<gguf_context, decltype(&gguf_free)> gguf_;
  std::unique_ptr<ggml_context, decltype(&ggml_free)> ctx_{nullptr, ggml_free};
};

}  // namespace

void write_tiny_model(const TinyModel& model, const std::string& path) {
  Writer writer(model);
  writer.metadata();
  writer.tensors();
  if (!writer.save(path)) throw std::runtime_error("cannot write " + path);
}

}  // namespace reprise::test
