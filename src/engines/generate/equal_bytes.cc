#include "engines/generate/equal_bytes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engines/generate/sequence.h"
#include "policies/registry.h"

namespace reprise {
namespace {

constexpr int32_t kRounds = 3;
constexpr double kNearEnough = 1e-3;  // of a budget that is no whole number

struct Held {
  int64_t n_bytes = 0;
  bool is_all = true;  // nothing was dropped
};

Held held_bytes(const TextModel& model, const Backend& backend, const NamedPolicy& policy,
                std::span<const RecallCase> sample, const TokensRead& read) {
  Held held;
  for (const RecallCase& asked : sample) {
    Sequence sequence(model.decoder, backend, policy.policy);
    const auto n_tokens = static_cast<int64_t>(asked.one_turn.size());
    sequence.prefill(asked.one_turn,
                     {.n_compress = -1, .progress = prefill_progress(read, n_tokens)});
    const KvStore& kv = sequence.kv();
    for (int32_t il = 0; il < kv.n_layer(); ++il) {
      if (!kv.shape(il).is_eligible()) continue;
      held.n_bytes += kv.shape(il).entry_bytes() * kv.count(il);
    }
    if (sequence.last_prefill().n_entries_dropped > 0) held.is_all = false;
  }
  return held;
}

Budget scaled(const Budget& budget, double ratio) {
  Budget out = budget;
  out.value *= ratio;
  if (budget.kind == Budget::Kind::kEntries) out.value = std::round(out.value);
  if (budget.kind == Budget::Kind::kShare) out.value = std::min(out.value, 1.0);
  return out;
}

}  // namespace

std::string with_budget(std::string_view text, const Budget& budget) {
  constexpr std::string_view kKey = "budget=";
  const size_t colon = std::min(text.find(':'), text.size());
  std::string out(text.substr(0, colon));
  out += fmt::format(":{}{}", kKey, to_string(budget));
  std::string_view options = text.substr(std::min(colon + 1, text.size()));
  while (!options.empty()) {
    const size_t comma = std::min(options.find(','), options.size());
    const std::string_view option = options.substr(0, comma);
    if (!option.starts_with(kKey)) out += fmt::format(",{}", option);
    options.remove_prefix(std::min(comma + 1, options.size()));
  }
  return out;
}

std::vector<NamedPolicy> at_equal_bytes(const TextModel& model, const Backend& backend,
                                        std::vector<NamedPolicy> policies,
                                        std::span<const RecallCase> sample,
                                        const TokensRead& read) {
  const auto is_evicting = [](const NamedPolicy& policy) { return !policy.is_unlimited(); };
  const auto first = std::ranges::find_if(policies, is_evicting);
  if (first == policies.end()) return policies;
  const Held wanted = held_bytes(model, backend, *first, sample, read);
  for (NamedPolicy& policy : std::span(first + 1, policies.end())) {
    if (!is_evicting(policy)) continue;
    for (int32_t round = 0; round < kRounds; ++round) {
      const Held held = held_bytes(model, backend, policy, sample, read);
      if (held.n_bytes == 0 || (held.is_all && held.n_bytes <= wanted.n_bytes)) break;
      const Budget budget = policy.policy->plan().budget;
      const Budget next =
          scaled(budget, static_cast<double>(wanted.n_bytes) / static_cast<double>(held.n_bytes));
      const bool is_whole = budget.kind == Budget::Kind::kEntries;
      if (is_whole ? next.value == budget.value
                   : std::abs(next.value / budget.value - 1) < kNearEnough) {
        break;
      }
      policy.text = with_budget(policy.text, next);
      policy.policy = make_kv_policy(policy.text);
    }
  }
  return policies;
}

}  // namespace reprise
