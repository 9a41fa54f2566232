#include "engines/generate/turn_budget.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace reprise {
namespace {

// What the whole sequence may hold, less what other turns and sliding windows need.
int64_t entries_left(const KvPlan& plan, const KvStore& kv, int32_t n_tokens, int64_t n_eligible) {
  // A window that the answer fills counts in full where the budget holds for the answer too.
  const int32_t n_window =
      plan.decode == KvDecode::kGrow ? std::min(plan.n_window, n_tokens) : plan.n_window;
  int64_t fixed_bytes = 0;
  int64_t entry_bytes = 0;
  for (int32_t il = 0; il < kv.n_layer(); ++il) {
    const KvLayerShape& shape = kv.shape(il);
    if (shape.is_eligible()) {
      entry_bytes = shape.entry_bytes();  // equal in all eligible layers
      fixed_bytes += entry_bytes * kv.count(il);
    } else {
      fixed_bytes += shape.entry_bytes() * (shape.n_swa + KvStore::kMaxPass);
    }
  }
  const int64_t least_bytes = fixed_bytes + entry_bytes * n_window * n_eligible;
  const auto budget_bytes = static_cast<int64_t>(plan.budget.value);
  if (budget_bytes < least_bytes) {
    throw Error(fmt::format(
        "KV budget of {} bytes is too small: {} bytes are held by earlier turns and sliding "
        "windows and {} by the observation windows; the smallest budget here is {} ({} KiB)",
        budget_bytes, fixed_bytes, least_bytes - fixed_bytes, least_bytes,
        (least_bytes + 1023) / 1024));
  }
  return (budget_bytes - fixed_bytes) / entry_bytes;
}

}  // namespace

TurnBudget turn_budget(const KvPlan& plan, const KvStore& kv, int32_t n_tokens) {
  int64_t n_eligible = 0;
  for (int32_t il = 0; il < kv.n_layer(); ++il) n_eligible += kv.shape(il).is_eligible() ? 1 : 0;
  if (plan.budget.kind == Budget::Kind::kUnlimited || n_eligible == 0) return {};
  const int32_t n_window = std::min(plan.n_window, n_tokens);
  int64_t n_entries = 0;  // in all eligible layers
  switch (plan.budget.kind) {
    case Budget::Kind::kEntries:
      n_entries = static_cast<int64_t>(plan.budget.value) * n_eligible;
      break;
    case Budget::Kind::kShare:
      n_entries = static_cast<int64_t>(
          std::floor(plan.budget.value * n_tokens * static_cast<double>(n_eligible)));
      n_entries = std::max<int64_t>(n_entries, int64_t{plan.n_window + 1} * n_eligible);
      break;
    case Budget::Kind::kBytes:
      n_entries = entries_left(plan, kv, n_tokens, n_eligible);
      break;
    case Budget::Kind::kUnlimited:
      return {};
  }
  TurnBudget turn;
  turn.binds = n_entries < n_tokens * n_eligible && n_tokens > n_window;
  turn.n_candidates = std::max<int64_t>(0, n_entries - n_window * n_eligible);
  turn.n_entries = static_cast<int32_t>(std::min<int64_t>(n_entries / n_eligible, INT32_MAX));
  return turn;
}

}  // namespace reprise
