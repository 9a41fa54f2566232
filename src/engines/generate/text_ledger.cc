#include "engines/generate/text_ledger.h"

#include <fmt/format.h>

#include "core/quantities.h"
#include "engines/generate/kv_size.h"

namespace reprise {
namespace {

// P and b of every eligible layer, where a budget was split.
LedgerList layer_list(const PrefillReport& prefill) {
  LedgerList list{"kv_layers", {}};
  size_t i_eligible = 0;
  for (size_t il = 0; prefill.is_cascade && il < prefill.judged.size(); ++il) {
    if (prefill.judged[il] == 0) continue;
    list.rows.push_back({{"layer", static_cast<int64_t>(il), ""},
                         {"preference", prefill.preference[i_eligible++], ""},
                         {"n_entries_judged", int64_t{prefill.judged[il]}, ""},
                         {"n_entries_kept", int64_t{prefill.kept[il]}, ""}});
  }
  return list;
}

}  // namespace

Ledger text_ledger(Sequence& sequence, const AnswerReport& answer, const std::string& policy,
                   double entry_cost_s) {
  const PrefillReport& prefill = sequence.last_prefill();
  const KvStore& kv = sequence.kv();
  const auto n_answer = static_cast<int64_t>(answer.tokens.size());
  int64_t n_held = 0;
  int64_t n_made = prefill.n_entries_kept + prefill.n_entries_dropped;
  for (int32_t il = 0; il < kv.n_layer(); ++il) {
    if (!kv.shape(il).is_eligible()) continue;
    n_held += kv.count(il);
    n_made += n_answer;
  }
  const int64_t n_kept = n_held - prefill.n_entries_apart;
  const int64_t n_dropped = n_made - n_kept;
  const int64_t n_dropped_late = n_dropped - prefill.n_entries_dropped;
  // An entry dropped while decoding is missing from half of the steps on average.
  const double n_reads_saved =
      (static_cast<double>(prefill.n_entries_dropped) + static_cast<double>(n_dropped_late) / 2) *
      static_cast<double>(n_answer);

  LedgerUnit entry;
  entry.name = "kv entry";
  entry.computed = n_kept;
  entry.is_kept = true;
  entry.dropped = n_dropped;
  entry.spent = {LedgerAmount::Unit::kBytes, static_cast<double>(kv.n_held_bytes()), false, ""};
  if (n_dropped > 0) {
    entry.saved = {LedgerAmount::Unit::kSeconds, n_reads_saved * entry_cost_s, true, "decode"};
  }

  Ledger ledger;
  ledger.units = {entry};
  const double total_s = prefill.total_s + answer.decode_s;
  const double policy_s = prefill.policy_s + answer.policy_s;
  const double policy_share = total_s > 0 ? policy_s / total_s : 0;
  const double decode_rate =
      answer.decode_s > 0 ? static_cast<double>(n_answer) / answer.decode_s : 0;
  const int64_t peak = sequence.kv().memory().peak();  // since the prefill began
  // Of a cache that keeps every token in F16, the usual default.
  const int64_t full =
      kv_bytes(sequence.model().hparams(), GGML_TYPE_F16, sequence.n_past(), sequence.n_past());
  ledger.facts = {
      {"n_prompt_tokens", int64_t{prefill.n_tokens},
       fmt::format("prompt {} tokens in {}", format_count(prefill.n_tokens),
                   format_seconds(prefill.total_s))},
      {"prefill_s", prefill.total_s, ""},
      {"n_answer_tokens", n_answer,
       fmt::format("answer {} tokens at {:.0f}/s", format_count(n_answer), decode_rate)},
      {"decode_s", answer.decode_s, ""},
      {"n_entries_dropped_in_prefill", prefill.n_entries_dropped, ""},
      {"n_entries_dropped_in_decode", n_dropped_late, ""},
      {"n_entries_held", n_held,
       fmt::format("cache holds {} entries in {}", format_count(n_held),
                   format_bytes(kv.n_held_bytes()))},
      {"held_kv_bytes", kv.n_held_bytes(), ""},
      {"held_kv_bytes_after_prefill", prefill.held_kv_bytes, ""},
      {"peak_kv_bytes", peak,
       fmt::format("peak cache {} (full: {})", format_bytes(peak), format_bytes(full))},
      {"full_kv_bytes", full, ""},
      {"policy", policy,
       fmt::format("policy {} used {:.1f} % of the time", policy, 100 * policy_share)},
      {"policy_s", policy_s, ""},
      {"n_uniform_fallbacks", int64_t{prefill.n_fallbacks}, ""},
      {"entry_cost_s", entry_cost_s, ""}};
  ledger.lists = {layer_list(prefill)};
  return ledger;
}

}  // namespace reprise
