#pragma once

#include <cstdint>

#include "core/kv_store.h"
#include "policies/kv/kv_policy.h"

namespace reprise {

// What a policy's budget means for one turn of n_tokens new tokens.
struct TurnBudget {
  bool binds = false;        // something has to go
  int64_t n_candidates = 0;  // entries to keep in all eligible layers besides the windows
  int32_t n_spare = 0;       // entries a layer that an answer may add before anything has to go
};

// Entries of layer il that a policy judges with the turn's own: all that are held, or none where it
// judges turns alone.
int32_t n_held_judged(const KvPlan& plan, const KvStore& kv, int32_t il);

// Budgets hold for the whole sequence, n_past earlier tokens included, or for the turn alone
// (KvPlan::judges_turns_alone). Bytes count the allocated blocks of sliding-window layers in full.
// Throws Error, naming the smallest budget possible, when a budget in bytes does not reach
// plan.n_least entries a layer: whether it does depends on the model alone, so that a conversation
// which has begun is never refused. A share is raised to that many. Source: CAKE,
// arXiv 2503.12491; unlike the official code's trigger S > C + w ours is S > C, so that a budget
// always binds.
TurnBudget turn_budget(const KvPlan& plan, const KvStore& kv, int32_t n_past, int32_t n_tokens);

}  // namespace reprise
