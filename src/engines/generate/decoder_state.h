#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "core/backend.h"
#include "core/kv_store.h"
#include "nets/decoder.h"

namespace reprise {

// The single-token pass that the arena of a device has laid its memory out for. Whoever runs
// another pass sets it back to none.
struct ReservedPass {
  enum class Kind : uint8_t { kNone, kPlain, kWithProbs };
  Kind kind = Kind::kNone;
  bool wants_attention = false;
  int64_t n_slots = 0;  // capacity of all layers; until it grows, the layout holds

  bool operator==(const ReservedPass&) const = default;
};

// The graph of a single token, which serves token after token while it stands in the arena and the
// layers have not outgrown it: entries are shown to its attention anew, nothing else changes.
struct TokenGraph {
  int64_t n_begun = -1;            // of the arena; another one: the graph is gone
  const OpTrace* trace = nullptr;  // that its nodes report to
  bool wants_probs = false;
  bool wants_attention = false;
  ggml_tensor* ids = nullptr;
  ggml_tensor* pos = nullptr;
  ggml_tensor* logits = nullptr;
  struct Layer {
    ggml_tensor* k = nullptr;
    ggml_tensor* v = nullptr;
    AttentionNode attention;  // with probs where they are wanted
    int32_t n_kv_most = 0;    // entries that it has place for
  };
  std::vector<Layer> layers;
};

// What every pass over one sequence works on.
struct DecoderState {
  std::shared_ptr<const DecoderModel> model;
  GraphArena arena;
  KvStore kv;
  int32_t n_past = 0;  // tokens seen, whether their entries are still held or not
  ReservedPass reserved = {};
  TokenGraph token = {};
};

// Told after every chunk how much of a prefill is done, in tokens x layers. May throw to stop it.
using PrefillProgress = std::function<void(int64_t n_done, int64_t n_total)>;

}  // namespace reprise
