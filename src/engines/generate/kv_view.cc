#include "engines/generate/kv_view.h"

namespace reprise {

SeenSlots seen_slots(const KvBlock& block, const CausalSpan& span) {
  const int32_t unit = block.unit();
  // Entries that have left the first token's window are seen by none.
  const int32_t first = span.begin(0) / unit * unit;
  return {first, (span.n_kv() - first + unit - 1) / unit * unit};
}

KvView kv_view(GraphArena& arena, const KvBlock& block, const CausalSpan& span) {
  const auto [first, n] = seen_slots(block, span);
  return {block.k(arena, first, n),
          block.v(arena, first, n),
          {span.n_held - first, span.n_tokens, span.n_swa}};
}

}  // namespace reprise
