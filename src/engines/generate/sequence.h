#pragma once

#include <memory>
#include <span>
#include <vector>

#include "core/backend.h"
#include "core/kv_store.h"
#include "nets/decoder.h"

namespace reprise {

// One sequence of a decoder model: its KV entries and the passes that extend it. Not thread-safe;
// several sequences may share the model and the backend, one at a time.
class Sequence {
 public:
  Sequence(std::shared_ptr<const DecoderModel> model, const Backend& backend);

  // Appends the tokens and returns the logits [n_vocab] that follow the last one; valid until the
  // next call. Throws Error when a token lies outside the vocabulary or memory is short.
  std::span<const float> extend(std::span<const int32_t> tokens);
  // The same, with the logits of every token: [n_vocab, n_tokens].
  std::span<const float> extend_all(std::span<const int32_t> tokens);

  // Makes room for n_tokens positions in all, so that no later pass has to grow the cache.
  void reserve(int32_t n_tokens);
  int32_t n_past() const { return n_past_; }
  const KvStore& kv() const { return kv_; }
  void clear();

 private:
  std::span<const float> pass(std::span<const int32_t> tokens, int32_t n_outputs);
  void fill_mask(ggml_tensor* mask, int32_t n_kv, int32_t n_swa) const;

  std::shared_ptr<const DecoderModel> model_;
  GraphArena arena_;
  KvStore kv_;
  int32_t n_past_ = 0;
  std::vector<float> logits_;
};

}  // namespace reprise
