#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engines/generate/decoder_state.h"

namespace reprise {

// Where a pass leaves what was asked of it besides its entries.
struct PassOutputs {
  int32_t n_logits = 1;             // of the last n_logits tokens
  std::span<const float> logits;    // [n_vocab, n_logits], until the next pass
  std::vector<float> copied;        // where they stand, unless the graph itself holds them
  bool wants_probs = false;         // for a single token: its attention in every eligible layer
  std::vector<ggml_tensor*> probs;  // [n_layer], [n_kv, 1, n_head] F32 until the next pass; null
                                    // for sliding-window layers
  double probs_s = 0;               // seconds they took, in each layer the slowest thread's
  bool wants_attention = false;     // for a single token: what attention gives in every layer
  std::vector<float> attention;     // [n_embd_head * n_head, n_layer] of the last such token
};

// Runs up to KvStore::kMaxPass tokens through all layers and appends their entries. Throws Error
// when a token lies outside the vocabulary or memory is short; the sequence is then as before.
void chunk_pass(DecoderState& state, std::span<const int32_t> tokens, PassOutputs& outputs);

// Tensors that a graph of any pass needs at most: the GraphArena of a DecoderState holds as many.
size_t pass_nodes_max(const DecoderHparams& hp);

// Fills the positions of a pass's tokens, [up to KvStore::kMaxPass] I32, from this one on.
void set_positions(ggml_tensor* pos, int32_t first);

// Throws Error when a token lies outside the vocabulary.
void check_tokens(const DecoderModel& model, std::span<const int32_t> tokens);

}  // namespace reprise
