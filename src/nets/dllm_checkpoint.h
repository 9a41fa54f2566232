#pragma once

#include <string>

#include "core/gguf_file.h"

namespace reprise {

// Puts the diffusion language model of a checkpoint folder (config.json, safetensors, and where
// they are there tokenizer.json, tokenizer_config.json, chat_template.jinja) together in memory as
// the GGUF file that llama.cpp's converter would write: architecture llada, with the rows of q and
// k reordered for its interleaved RoPE, or dream. Matrices keep their type, norms and biases become
// F32. Without tokenizer.json there is no vocabulary: DecoderModel::load takes the result,
// Tokenizer::load refuses it. Takes as much memory as the weights have.
// Source of names, keys and row order: llama.cpp, conversion/llada.py, conversion/dream.py.
// Throws Error, for what config.json asks and is not built in, and for tensors that are missing, of
// another shape, or not the architecture's.
GgufFile dllm_checkpoint_as_gguf(const std::string& folder);

}  // namespace reprise
