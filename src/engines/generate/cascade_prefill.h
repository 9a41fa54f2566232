#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "engines/generate/decoder_state.h"
#include "engines/generate/turn_budget.h"
#include "policies/kv/kv_policy.h"

namespace reprise {

// What a prefill kept, and why.
struct CascadeReport {
  std::vector<double> preference;  // P of each eligible layer
  int32_t n_fallbacks = 0;         // splits that were equal because P could not be used
  double decide_s = 0;             // seconds for statistics, scores, ranking and splitting
  double copy_s = 0;               // seconds for moving what is kept into pages and blocks
  // What the layers held before, where it was judged again; to take the prefill back.
  std::vector<std::pair<int32_t, KvStore::Detached>> before;
};

// Prefills `tokens` layer by layer, so that layer il has seen all of them before layer il + 1
// starts, and lets the policy cut what is held after every layer: the peak is about the budget, one
// full layer, and what was held before (plan.cascades false: after the last layer, and the peak is
// all layers). The attention of the prefill itself is exact. Writes the logits [n_vocab] behind the
// last token, and leaves room for n_growth more entries. What the sequence held before is judged
// together with the tokens, by what their last ones attend to, or stays as it is where the policy
// judges turns alone (then tokens.size() > plan.n_window); it is all that is left when an exception
// stops the work. Throws Error; what `progress` throws passes through. Source: CAKE, arXiv
// 2503.12491, section 4.
CascadeReport cascade_prefill(DecoderState& state, const KvPolicy& policy, const TurnBudget& budget,
                              std::span<const int32_t> tokens, int32_t n_growth,
                              std::vector<float>& logits, const PrefillProgress& progress);

}  // namespace reprise
