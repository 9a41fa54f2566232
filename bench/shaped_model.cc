#include "shaped_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "core/error.h"
#include "core/gguf_file.h"
#include "core/split_mix.h"
#include "gguf.h"

namespace reprise {
namespace {

using Gguf = std::unique_ptr<gguf_context, decltype(&gguf_free)>;
using File = std::unique_ptr<std::FILE, decltype(&std::fclose)>;

void add_sizes(gguf_context* file, const ModelShape& shape, int32_t n_vocab) {
  const auto count = [&](const char* key, int32_t value) {
    gguf_set_val_u32(file, (shape.arch + "." + key).c_str(), value);
  };
  const auto real = [&](const char* key, float value) {
    gguf_set_val_f32(file, (shape.arch + "." + key).c_str(), value);
  };
  gguf_set_val_str(file, "general.architecture", shape.arch.c_str());
  gguf_set_val_str(file, "general.name", (shape.name + " shape, random weights").c_str());
  count("vocab_size", n_vocab);
  count("context_length", shape.n_ctx);
  count("embedding_length", shape.n_embd);
  count("block_count", shape.n_layer);
  count("feed_forward_length", shape.n_ff);
  count("attention.head_count", shape.n_head);
  count("attention.head_count_kv", shape.n_head_kv);
  count("attention.key_length", shape.n_embd_head);
  count("attention.value_length", shape.n_embd_head);
  count("rope.dimension_count", shape.n_embd_head);
  real("attention.layer_norm_rms_epsilon", shape.norm_epsilon);
  real("rope.freq_base", shape.rope_base);
}

// The other file's tokenizer and nothing else of it.
Gguf tokenizer_of(const std::string& path) {
  GgufFile::open(path);  // ggml's reader trusts a file
  Gguf file(gguf_init_from_file(path.c_str(), {.no_alloc = true, .ctx = nullptr}), gguf_free);
  if (file == nullptr) throw Error(fmt::format("{}: ggml cannot read it", path));
  std::vector<std::string> others;
  for (int64_t i = 0; i < gguf_get_n_kv(file.get()); ++i) {
    const std::string key = gguf_get_key(file.get(), i);
    if (!key.starts_with("tokenizer.")) others.push_back(key);
  }
  for (const std::string& key : others) gguf_remove_key(file.get(), key.c_str());
  Gguf out(gguf_init_empty(), gguf_free);
  gguf_set_kv(out.get(), file.get());
  return out;
}

// A tensor's bytes, a few rows at a time.
class Rows {
 public:
  Rows(const ShapedTensor& tensor, SplitMix64& rng)
      : tensor_(tensor),
        rng_(rng),
        values_(tensor.ne0 * kRows),
        bytes_(ggml_row_size(tensor.type, tensor.ne0) * kRows) {}

  bool write(std::FILE* out) {
    for (int64_t row = 0; row < tensor_.ne1; row += kRows) {
      const int64_t n_rows = std::min(kRows, tensor_.ne1 - row);
      draw(n_rows * tensor_.ne0);
      const size_t n_bytes = ggml_quantize_chunk(tensor_.type, values_.data(), bytes_.data(), 0,
                                                 n_rows, tensor_.ne0, nullptr);
      if (std::fwrite(bytes_.data(), 1, n_bytes, out) != n_bytes) return false;
    }
    return true;
  }

 private:
  static constexpr int64_t kRows = 64;

  void draw(int64_t n) {
    if (tensor_.ne1 == 1) {
      std::fill_n(values_.begin(), n, tensor_.name.ends_with(".bias") ? 0.0F : 1.0F);
      return;
    }
    // Uniform within +-sqrt(3) deviations: 32 random bits each.
    const float scale = std::sqrt(3.0F / static_cast<float>(tensor_.ne0)) * 0x1p-31F;
    for (int64_t i = 0; i < n; i += 2) {
      const uint64_t bits = rng_.next();
      values_[i] = static_cast<float>(static_cast<int32_t>(bits)) * scale;
      if (i + 1 < n) values_[i + 1] = static_cast<float>(static_cast<int32_t>(bits >> 32)) * scale;
    }
  }

  const ShapedTensor& tensor_;
  SplitMix64& rng_;
  std::vector<float> values_;
  std::vector<std::byte> bytes_;
};

bool write_tensors(const gguf_context* file, const std::vector<ShapedTensor>& tensors,
                   std::FILE* out) {
  const auto start = static_cast<int64_t>(gguf_get_meta_size(file));
  SplitMix64 rng(1);
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto offset = static_cast<int64_t>(gguf_get_tensor_offset(file, static_cast<int64_t>(i)));
    for (int64_t at = std::ftell(out); at < start + offset; ++at) {
      if (std::fputc(0, out) == EOF) return false;
    }
    if (!Rows(tensors[i], rng).write(out)) return false;
  }
  // The last one is padded too.
  for (int64_t at = std::ftell(out); at % static_cast<int64_t>(gguf_get_alignment(file)) != 0;
       ++at) {
    if (std::fputc(0, out) == EOF) return false;
  }
  return true;
}

}  // namespace

const std::vector<ModelShape>& model_shapes() {
  static const std::vector<ModelShape> kShapes = {
      {"qwen2.5-0.5b", "qwen2", 896, 24, 4864, 14, 2, 64, 32768, 1e6F, 1e-6F},
      {"llama-3.2-1b", "llama", 2048, 16, 8192, 32, 8, 64, 131072, 5e5F, 1e-5F}};
  return kShapes;
}

const ModelShape& model_shape(const std::string& name) {
  const auto found = std::ranges::find(model_shapes(), name, &ModelShape::name);
  if (found == model_shapes().end()) {
    std::string known;
    for (const ModelShape& shape : model_shapes())
      known += (known.empty() ? "" : ", ") + shape.name;
    throw Error(fmt::format("no shape '{}'; there are {}", name, known));
  }
  return *found;
}

std::vector<ShapedTensor> shaped_tensors(const ModelShape& shape, ggml_type type, int32_t n_vocab) {
  std::vector<ShapedTensor> out;
  const int64_t n_embd = shape.n_embd;
  const int64_t n_q = int64_t{shape.n_embd_head} * shape.n_head;
  const int64_t n_kv = int64_t{shape.n_embd_head} * shape.n_head_kv;
  const auto matrix = [&](const std::string& name, int64_t ne0, int64_t ne1) {
    out.push_back({name + ".weight", type, ne0, ne1});
  };
  const auto vector = [&](const std::string& name, int64_t ne0) {
    out.push_back({name, GGML_TYPE_F32, ne0, 1});
  };
  matrix("token_embd", n_embd, n_vocab);
  vector("output_norm.weight", n_embd);
  for (int32_t il = 0; il < shape.n_layer; ++il) {
    const std::string l = fmt::format("blk.{}.", il);
    vector(l + "attn_norm.weight", n_embd);
    matrix(l + "attn_q", n_embd, n_q);
    matrix(l + "attn_k", n_embd, n_kv);
    matrix(l + "attn_v", n_embd, n_kv);
    if (shape.arch == "qwen2") {
      vector(l + "attn_q.bias", n_q);
      vector(l + "attn_k.bias", n_kv);
      vector(l + "attn_v.bias", n_kv);
    }
    matrix(l + "attn_output", n_q, n_embd);
    vector(l + "ffn_norm.weight", n_embd);
    matrix(l + "ffn_gate", n_embd, shape.n_ff);
    matrix(l + "ffn_up", n_embd, shape.n_ff);
    matrix(l + "ffn_down", shape.n_ff, n_embd);
  }
  return out;
}

void write_shaped_model(const ModelShape& shape, ggml_type type, const std::string& vocabulary,
                        const std::string& path) {
  const Gguf file = tokenizer_of(vocabulary);
  const int64_t key = gguf_find_key(file.get(), "tokenizer.ggml.tokens");
  if (key < 0) throw Error(fmt::format("{}: has no vocabulary", vocabulary));
  const auto n_vocab = static_cast<int32_t>(gguf_get_arr_n(file.get(), key));
  add_sizes(file.get(), shape, n_vocab);
  const std::vector<ShapedTensor> tensors = shaped_tensors(shape, type, n_vocab);
  const std::unique_ptr<ggml_context, decltype(&ggml_free)> ctx(
      ggml_init({.mem_size = ggml_tensor_overhead() * tensors.size(),
                 .mem_buffer = nullptr,
                 .no_alloc = true}),
      ggml_free);
  for (const ShapedTensor& tensor : tensors) {
    ggml_tensor* out = ggml_new_tensor_2d(ctx.get(), tensor.type, tensor.ne0, tensor.ne1);
    ggml_set_name(out, tensor.name.c_str());
    gguf_add_tensor(file.get(), out);
  }
  // Complete or absent; larger than memory may hold at once.
  const std::string part = path + ".part";
  File out(std::fopen(part.c_str(), "wb"), std::fclose);
  const bool is_whole = out != nullptr && gguf_write_to_file_ptr(file.get(), out.get(), true) &&
                        write_tensors(file.get(), tensors, out.get()) &&
                        std::fclose(out.release()) == 0;
  std::error_code error;
  if (is_whole) std::filesystem::rename(part, path, error);
  if (!is_whole || error) {
    std::filesystem::remove(part, error);
    throw Error(fmt::format("{}: cannot be written; is there room on the disk?", path));
  }
}

}  // namespace reprise
