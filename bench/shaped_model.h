#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ggml.h"

namespace reprise {

// Sizes of a real model, for files with random weights: speed depends on shapes and types alone.
struct ModelShape {
  std::string name;  // "qwen2.5-0.5b"
  std::string arch;  // general.architecture: llama, or qwen2 with biases on Q, K and V
  int32_t n_embd = 0;
  int32_t n_layer = 0;
  int32_t n_ff = 0;
  int32_t n_head = 0;
  int32_t n_head_kv = 0;
  int32_t n_embd_head = 0;
  int32_t n_ctx = 0;
  float rope_base = 0;
  float norm_epsilon = 0;
};

// qwen2.5-0.5b (24 layers, 14 and 2 heads) and llama-3.2-1b (16 layers, 32 and 8 heads). Source:
// config.json of Qwen/Qwen2.5-0.5B and meta-llama/Llama-3.2-1B.
const std::vector<ModelShape>& model_shapes();
// Throws Error that names the known ones.
const ModelShape& model_shape(const std::string& name);

struct ShapedTensor {
  std::string name;
  ggml_type type;
  int64_t ne0;
  int64_t ne1;
};
// Every tensor of such a model, matrices of `type` and the others F32; the embedding serves as
// output too, as in both models.
std::vector<ShapedTensor> shaped_tensors(const ModelShape& shape, ggml_type type, int32_t n_vocab);

// Writes it as GGUF with the tokenizer of the file `vocabulary`; the same bytes for the same
// arguments. Norms are 1, biases 0, matrices uniform with the deviation 1 / sqrt(ne0), which keeps
// activations near 1. Throws Error when a file cannot be read or written; `path` is then absent.
void write_shaped_model(const ModelShape& shape, ggml_type type, const std::string& vocabulary,
                        const std::string& path);

}  // namespace reprise
