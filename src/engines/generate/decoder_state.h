#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "core/backend.h"
#include "core/kv_store.h"
#include "nets/decoder.h"

namespace reprise {

// The single-token pass that the arena has laid its memory out for. Whoever runs another pass sets
// it back to none.
struct ReservedPass {
  enum class Kind : uint8_t { kNone, kPlain, kWithProbs };
  Kind kind = Kind::kNone;
  int64_t n_slots = 0;  // capacity of all layers; until it grows, the layout holds

  bool operator==(const ReservedPass&) const = default;
};

// What every pass over one sequence works on.
struct DecoderState {
  std::shared_ptr<const DecoderModel> model;
  GraphArena arena;
  KvStore kv;
  int32_t n_past = 0;  // tokens seen, whether their entries are still held or not
  ReservedPass reserved = {};
};

// Told after every chunk how much of a prefill is done, in tokens x layers. May throw to stop it.
using PrefillProgress = std::function<void(int64_t n_done, int64_t n_total)>;

}  // namespace reprise
