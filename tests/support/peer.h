#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "llama.h"

namespace reprise::test {

// libllama on the same file: the independent reference of the decoder.
struct PeerOptions {
  ggml_type type_kv = GGML_TYPE_F16;
  bool is_flash = false;
  int32_t n_ubatch = 512;
  int32_t n_threads = 2;
  int32_t n_ctx = 2048;
};

class Peer {
 public:
  Peer(const std::string& path, const PeerOptions& options);
  // Appends the tokens; logits of every one, [n_vocab, n_tokens].
  std::vector<float> extend_all(std::span<const int32_t> tokens);

 private:
  std::unique_ptr<llama_model, decltype(&llama_model_free)> model_;
  std::unique_ptr<llama_context, decltype(&llama_free)> ctx_;
  int32_t n_past_ = 0;
};

}  // namespace reprise::test
