#pragma once

#include <cstdint>

#include "core/kv_store.h"
#include "policies/kv/kv_policy.h"

namespace reprise {

// What a policy's budget means for one turn of n_tokens new tokens.
struct TurnBudget {
  bool binds = false;        // something has to go
  int64_t n_candidates = 0;  // entries to keep in all eligible layers besides the windows
  int32_t n_entries = 0;     // average entries a layer, window included
};

// Budgets in entries and in percent hold for every turn alone: what earlier turns kept stays. A
// budget in bytes holds for the whole sequence, so a turn gets what the others left; the allocated
// blocks of sliding-window layers count in full. Throws Error, naming the smallest budget possible,
// when not even the windows fit. Source: spec 2.6; unlike the official trigger S > C + w ours is S
// > C, so that a budget always binds.
TurnBudget turn_budget(const KvPlan& plan, const KvStore& kv, int32_t n_tokens);

}  // namespace reprise
