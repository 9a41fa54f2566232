#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace reprise {

// Sizes and constants of a diffusion language model, from a checkpoint folder's config.json. Names
// are those of DecoderHparams.
struct DllmConfig {
  enum class Family : uint8_t { kLlada, kDream };
  Family family = Family::kLlada;
  int64_t n_vocab = 0;  // rows of the embedding
  int64_t n_ctx = 0;
  int64_t n_embd = 0;
  int64_t n_layer = 0;
  int64_t n_ff = 0;
  int64_t n_head = 0;
  int64_t n_head_kv = 0;
  double rms_eps = 0;
  double rope_freq_base = 0;
  int64_t mask_token = 0;  // below n_vocab
  std::optional<int64_t> bos, eos, padding;

  int64_t n_embd_head() const { return n_embd / n_head; }
};

// Throws Error: for an architecture other than LLaDAModelLM and DreamModel, for an option of theirs
// that is not built in, and for sizes that do not fit each other.
DllmConfig read_dllm_config(const std::string& folder);

}  // namespace reprise
