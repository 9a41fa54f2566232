#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "ggml.h"
#include "gguf.h"

namespace reprise::test {

// A tensor before it is drawn.
struct TinyTensor {
  std::string name;
  ggml_type type;
  int64_t ne0, ne1;
  bool is_zero = false;  // filled with zero bytes, for types that are slow to quantise
  int64_t row_begin = 0, row_end = INT64_MAX;  // rows outside are zero
};

// A small random decoder in the shape of a real architecture, without a vocabulary.
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
  std::function<void(gguf_context*)> edit_metadata = {};  // called last
  // Called for each tensor, to change it; false leaves it out.
  std::function<bool(TinyTensor&)> edit_tensor = {};
};

// Writes it as GGUF, from llama.cpp's own names, so that both runtimes can load it.
void write_tiny_model(const TinyModel& model, const std::string& path);

}  // namespace reprise::test
