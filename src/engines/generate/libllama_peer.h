#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "llama.h"

namespace reprise {

// libllama on the same file: the independent reference of the tests and the peer of the benches.
struct PeerOptions {
  ggml_type type_kv = GGML_TYPE_F16;
  bool is_flash = false;
  int32_t n_ubatch = 512;
  int32_t n_threads = 2;
  int32_t n_ctx = 2048;
  // Threads to compute on, n_threads of them; it must outlive the peer. Null: libllama makes and
  // ends threads at every pass, which is slower.
  ggml_threadpool* pool = nullptr;
};

// One sequence in a libllama context of its own.
class LibllamaPeer {
 public:
  // Throws Error when libllama refuses the file or the options.
  LibllamaPeer(const std::string& path, const PeerOptions& options);

  // Appends the tokens; logits [n_vocab] behind the last one, valid until the next call. Throws
  // Error when the context is full.
  std::span<const float> extend(std::span<const int32_t> tokens);
  // The same with the logits of every token, [n_vocab, n_tokens].
  std::vector<float> extend_all(std::span<const int32_t> tokens);
  // Appends the tokens and computes no logits.
  void append(std::span<const int32_t> tokens);
  // Forgets everything behind the first n_past tokens.
  void rewind(int32_t n_past);
  // Forgets positions [first, last); later tokens keep theirs.
  void forget(int32_t first, int32_t last);
  void clear();
  int32_t n_vocab() const { return n_vocab_; }
  // Where the weights lie: "CPU_Mapped 93.6 MiB"; a buffer CPU_REPACK holds a private, faster copy.
  const std::string& weight_buffers() const { return weight_buffers_; }

 private:
  enum class Logits : uint8_t { kNone, kLast, kAll };
  void decode(std::span<const int32_t> tokens, Logits logits);

  std::unique_ptr<llama_model, decltype(&llama_model_free)> model_;
  std::unique_ptr<llama_context, decltype(&llama_free)> ctx_;
  std::string weight_buffers_;
  int32_t n_vocab_ = 0;
  int32_t n_past_ = 0;
};

}  // namespace reprise
