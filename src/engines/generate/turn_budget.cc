#include "engines/generate/turn_budget.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace reprise {
namespace {

// Entries that all eligible layers hold together under a budget in bytes.
int64_t entries_in_bytes(const KvPlan& plan, const KvStore& kv, int64_t n_least) {
  int64_t fixed_bytes = 0;
  int64_t entry_bytes = 0;
  for (int32_t il = 0; il < kv.n_layer(); ++il) {
    const KvLayerShape& shape = kv.shape(il);
    if (shape.is_eligible()) {
      entry_bytes = shape.entry_bytes();  // equal in all eligible layers
    } else {
      fixed_bytes += shape.entry_bytes() * (shape.n_swa + KvStore::kMaxPass);
    }
  }
  const int64_t least_bytes = fixed_bytes + entry_bytes * n_least;
  const auto budget_bytes = static_cast<int64_t>(plan.budget.value);
  if (budget_bytes < least_bytes) {
    throw Error(fmt::format(
        "KV budget of {} bytes is too small: sliding windows take {} bytes, and the observation "
        "window of {} entries with what else always stays takes {}; the smallest budget here is "
        "{} ({} KiB)",
        budget_bytes, fixed_bytes, plan.n_window, least_bytes - fixed_bytes, least_bytes,
        (least_bytes + 1023) / 1024));
  }
  return (budget_bytes - fixed_bytes) / entry_bytes;
}

// What all eligible layers may hold together of what is judged.
int64_t n_entries(const KvPlan& plan, const KvStore& kv, int32_t n_past, int32_t n_tokens,
                  int64_t n_eligible) {
  const int64_t n_least = std::max(plan.n_least, plan.n_window + 1) * n_eligible;
  if (plan.budget.kind == Budget::Kind::kBytes) return entries_in_bytes(plan, kv, n_least);
  const auto n_layer = static_cast<double>(n_eligible);
  if (plan.budget.kind == Budget::Kind::kEntries) {
    return static_cast<int64_t>(plan.budget.value * n_layer);
  }
  const int64_t n_read = int64_t{n_tokens} + (plan.judges_turns_alone ? 0 : n_past);
  return std::max(n_least, static_cast<int64_t>(std::floor(plan.budget.value *
                                                           static_cast<double>(n_read) * n_layer)));
}

}  // namespace

int32_t n_held_judged(const KvPlan& plan, const KvStore& kv, int32_t il) {
  return plan.judges_turns_alone ? 0 : kv.count(il);
}

TurnBudget turn_budget(const KvPlan& plan, const KvStore& kv, int32_t n_past, int32_t n_tokens) {
  if (plan.budget.kind == Budget::Kind::kUnlimited) return {};
  int64_t n_eligible = 0;
  int64_t n_judged = 0;
  int64_t n_windows = 0;
  for (int32_t il = 0; il < kv.n_layer(); ++il) {
    if (!kv.shape(il).is_eligible()) continue;
    ++n_eligible;
    const int32_t n = n_held_judged(plan, kv, il) + n_tokens;
    n_judged += n;
    n_windows += std::min(plan.n_window, n);
  }
  if (n_eligible == 0) return {};
  const int64_t n_most = n_entries(plan, kv, n_past, n_tokens, n_eligible);
  TurnBudget turn;
  turn.binds = n_tokens > 0 && n_most < n_judged && n_windows < n_judged;
  turn.n_candidates = std::max<int64_t>(0, n_most - n_windows);
  turn.n_spare =
      static_cast<int32_t>(std::clamp<int64_t>((n_most - n_judged) / n_eligible, 0, INT32_MAX / 4));
  return turn;
}

}  // namespace reprise
