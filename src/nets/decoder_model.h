#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/feed_forward_node.h"
#include "core/gguf_file.h"
#include "core/huge_pages.h"
#include "ggml-backend.h"
#include "ggml.h"

namespace reprise {

// Sizes and constants of a decoder, read from GGUF metadata. Names follow llama.cpp's.
struct DecoderHparams {
  std::string arch;  // llama, qwen2, qwen3, gemma3, llada or dream
  std::string name;  // general.name, may be empty
  int32_t n_vocab = 0;
  int32_t n_ctx_train = 0;
  int32_t n_embd = 0;
  int32_t n_layer = 0;
  int32_t n_ff = 0;
  int32_t n_head = 0;
  int32_t n_head_kv = 0;
  int32_t n_embd_head = 0;  // values of one head, for K and for V
  float rms_eps = 0;
  Activation activation = Activation::kSilu;
  float embd_scale = 1;  // of the embedding rows
  float attn_scale = 1;  // of the attention logits

  int32_t n_rot = 0;       // rotated values of a head
  int32_t rope_type = 0;   // GGML_ROPE_TYPE_NORMAL or GGML_ROPE_TYPE_NEOX
  int32_t n_ctx_orig = 0;  // context before RoPE scaling
  float rope_freq_base = 10000;
  float rope_freq_base_swa = 10000;
  float rope_freq_scale = 1;
  float rope_ext_factor = 0;  // 1 with YaRN
  float rope_attn_factor = 1;

  // A masked diffusion model: every token sees every other, and the model says what stands where
  // the text has mask_token.
  bool is_masked = false;
  int32_t mask_token = -1;
  bool shifts_logits = false;  // the row of position i - 1 says what stands at i
  int32_t n_canvas = 0;  // rows that training padded every text to with end tokens; 0: none known

  int32_t n_swa = 0;         // sliding window in positions, 0 = none
  std::vector<bool> is_swa;  // [n_layer]: this layer sees only the last n_swa positions
};

// Weights of one layer; null where the architecture has none. Shapes in ggml order.
struct DecoderLayer {
  ggml_tensor* attn_norm = nullptr;       // [n_embd]
  ggml_tensor* wq = nullptr;              // [n_embd, n_embd_head * n_head]
  ggml_tensor* wk = nullptr;              // [n_embd, n_embd_head * n_head_kv]
  ggml_tensor* wv = nullptr;              // [n_embd, n_embd_head * n_head_kv]
  ggml_tensor* wo = nullptr;              // [n_embd_head * n_head, n_embd]
  ggml_tensor* bq = nullptr;              // [n_embd_head * n_head]
  ggml_tensor* bk = nullptr;              // [n_embd_head * n_head_kv]
  ggml_tensor* bv = nullptr;              // [n_embd_head * n_head_kv]
  ggml_tensor* bo = nullptr;              // [n_embd]
  ggml_tensor* attn_q_norm = nullptr;     // [n_embd_head]
  ggml_tensor* attn_k_norm = nullptr;     // [n_embd_head]
  ggml_tensor* attn_post_norm = nullptr;  // [n_embd]
  ggml_tensor* rope_freqs = nullptr;      // [n_rot / 2]
  ggml_tensor* ffn_norm = nullptr;        // [n_embd]
  ggml_tensor* ffn_gate = nullptr;        // [n_embd, n_ff]
  ggml_tensor* ffn_up = nullptr;          // [n_embd, n_ff]
  ggml_tensor* ffn_down = nullptr;        // [n_ff, n_embd]
  ggml_tensor* ffn_post_norm = nullptr;   // [n_embd]
};

// The matrices of a layer.
inline constexpr std::array kLayerMatrices = {
    &DecoderLayer::wq,       &DecoderLayer::wk,     &DecoderLayer::wv,      &DecoderLayer::wo,
    &DecoderLayer::ffn_gate, &DecoderLayer::ffn_up, &DecoderLayer::ffn_down};

// Where weights stand. Those of a file that was put together in memory stay there.
struct WeightPlace {
  enum class Host : uint8_t {
    kMapped,  // in the file's pages: shared with other processes, read from disk when touched
    kCopied,  // in memory of their own, in large pages, which decoding reads faster
    kAuto,    // copied where the system has large pages and four times as much memory is free
  };
  ggml_backend_buffer_type_t memory = nullptr;  // a device's, to which they are copied; or null
  Host host = Host::kMapped;                    // otherwise
};

// A decoder's weights and their sizes, as its GGUF file gives them. Immutable after load; shared
// between sessions.
class DecoderModel {
 public:
  // Checks every tensor's presence and shape against the metadata. Throws Error.
  static std::shared_ptr<const DecoderModel> load(std::shared_ptr<const GgufFile> file,
                                                  const WeightPlace& place = {});
  // The same model, but that passes of several tokens read other matrices of the layers, which
  // `memory` keeps. Shares all weights with the one given.
  static std::shared_ptr<const DecoderModel> with_prompt_layers(
      std::shared_ptr<const DecoderModel> model, std::vector<DecoderLayer> layers,
      std::shared_ptr<const void> memory);
  ~DecoderModel();
  DecoderModel(const DecoderModel&) = delete;
  DecoderModel& operator=(const DecoderModel&) = delete;

  const DecoderHparams& hparams() const { return hparams_; }
  const std::vector<DecoderLayer>& layers() const { return layers_; }
  // What a pass of n_tokens reads.
  const DecoderLayer& layer(int32_t il, int64_t n_tokens) const {
    return (n_tokens == 1 || prompt_layers_.empty() ? layers_ : prompt_layers_)[il];
  }
  ggml_tensor* tok_embd() const { return tok_embd_; }        // [n_embd, n_vocab]
  ggml_tensor* output_norm() const { return output_norm_; }  // [n_embd]
  ggml_tensor* output() const { return output_; }  // [n_embd, n_vocab]; tok_embd when tied
  int64_t n_weight_bytes() const { return n_weight_bytes_; }
  // In the CPU's memory, and no pages of a file.
  bool has_copied_weights() const {
    return original_ != nullptr ? original_->has_copied_weights()
                                : copy_ != nullptr || !file_->is_mapped();
  }

 private:
  DecoderModel() = default;
  friend class DecoderLoader;

  std::shared_ptr<const GgufFile> file_;
  DecoderHparams hparams_;
  std::vector<DecoderLayer> layers_;
  std::vector<DecoderLayer> prompt_layers_;                 // empty: layers_
  std::shared_ptr<const void> prompt_memory_;               // of their matrices
  std::shared_ptr<const DecoderModel> original_ = nullptr;  // that owns the other weights
  ggml_tensor* tok_embd_ = nullptr;
  ggml_tensor* output_norm_ = nullptr;
  ggml_tensor* output_ = nullptr;
  int64_t n_weight_bytes_ = 0;
  ggml_context* ctx_ = nullptr;
  std::vector<ggml_backend_buffer_t> buffers_;
  HugePages copy_;  // of the file's tensors; null when they are mapped
  std::vector<std::unique_ptr<std::byte[], void (*)(std::byte*)>>
      copies_;  // tensors that were not aligned
};

// Reads and checks the metadata alone. Throws Error on an unknown architecture or impossible sizes.
DecoderHparams decoder_hparams(const GgufFile& file);

}  // namespace reprise
