#pragma once

#include "core/kv_block.h"
#include "nets/decoder.h"

namespace reprise {

// What the tokens of a pass see of a block that holds span.n_held older entries and, behind them,
// their own.
KvView kv_view(GraphArena& arena, const KvBlock& block, const CausalSpan& span);

}  // namespace reprise
