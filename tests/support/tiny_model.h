#pragma once

#include <cstdint>
#include <string>

#include "ggml.h"

namespace reprise::test {

// A small random decoder in the shape of a real architecture.
struct TinyModel {
  std::string arch = "llama";      // llama, qwen2, qwen3 or gemma3
  ggml_type type = GGML_TYPE_F32;  // of the matrices; norms and biases are F32
  int32_t n_vocab = 320;
  int32_t n_embd = 64;
  int32_t n_layer = 7;  // one whole sliding-window period of Gemma 3, and one more
  int32_t n_ff = 96;
  int32_t n_head = 4;
  int32_t n_head_kv = 2;
  int32_t n_embd_head = 16;
  int32_t n_ctx = 2048;
  int32_t n_swa = 32;  // gemma3 alone
  uint32_t seed = 1;
  // With a vocabulary of one token a byte, one merge and ChatML's control tokens (n_vocab is then
  // its size), and kChatMl as chat template. A llama with it answers in printable ASCII.
  bool has_vocabulary = false;
};

inline constexpr const char* kChatMl =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + "
    "message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

// Writes it as GGUF, from llama.cpp's own names, so that both runtimes can load it.
void write_tiny_model(const TinyModel& model, const std::string& path);

}  // namespace reprise::test
