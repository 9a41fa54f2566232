#pragma once

#include "core/kv_block.h"
#include "nets/decoder.h"

namespace reprise {

// Slots of a block that the tokens of a pass see, in whole units of the block.
struct SeenSlots {
  int32_t first = 0;
  int32_t n = 0;
};
SeenSlots seen_slots(const KvBlock& block, const CausalSpan& span);

// What the tokens of a pass see of a block that holds span.n_held older entries and, behind them,
// their own.
KvView kv_view(GraphArena& arena, const KvBlock& block, const CausalSpan& span);

}  // namespace reprise
