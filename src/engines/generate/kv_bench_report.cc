#include "engines/generate/kv_bench_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <functional>
#include <iterator>

namespace reprise {
namespace {

using Kind = BenchTarget::Kind;
using Runs = std::vector<double>;

BenchSample counted(double value) { return {1, value, value, value}; }

// a / b, run by run; a side with fewer runs has them at the front.
Runs quotients(const Runs& a, const Runs& b) {
  Runs out;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) out.push_back(a[i] / b[i]);
  return out;
}

Runs rates(const Runs& seconds, double n_tokens) {
  Runs out;
  for (const double s : seconds) out.push_back(n_tokens / s);
  return out;
}

// Seconds a token that no decoder of these kernels can beat: what an empty cache costs, and the
// reading of what is kept.
Runs bound_s(const KvContextMeasured& at, int64_t kv_read_bytes) {
  Runs out;
  for (size_t i = 0; i < std::min(at.empty_s.size(), at.bandwidth.size()); ++i) {
    out.push_back(at.empty_s[i] + static_cast<double>(kv_read_bytes) / at.bandwidth[i]);
  }
  return out;
}

const KvMeasured* find(const KvContextMeasured& at, const std::string& name) {
  const auto found = std::ranges::find(at.contestants, name, &KvMeasured::name);
  return found == at.contestants.end() ? nullptr : &*found;
}

// libllama's setting with the least median time.
const KvMeasured* faster_peer(const KvContextMeasured& at, Runs KvMeasured::*runs) {
  const KvMeasured* best = nullptr;
  for (const KvMeasured& c : at.contestants) {
    if (c.side != KvMeasured::Side::kPeer || (c.*runs).empty()) continue;
    if (best == nullptr || bench_sample(c.*runs).median < bench_sample(best->*runs).median) {
      best = &c;
    }
  }
  return best;
}

class Ratios {
 public:
  explicit Ratios(BenchReport& report) : report_(report) {}

  void add(const std::string& key, const Runs& runs, std::optional<BenchTarget> target = {}) {
    if (!runs.empty()) report_.ratios.push_back({key, bench_sample(runs), target});
  }

 private:
  BenchReport& report_;
};

std::optional<BenchTarget> at_least(double value) { return BenchTarget{Kind::kAtLeast, value}; }

BenchRow row_of(const KvContextMeasured& at, const KvMeasured& c, int64_t weight_bytes) {
  BenchRow row{c.name, at.context, {}};
  const auto add = [&](const char* key, const BenchSample& sample) {
    row.values.emplace_back(key, sample);
  };
  if (!c.decode_s.empty()) add("decode_tok_s", bench_sample(rates(c.decode_s, 1)));
  if (!c.prefill_s.empty()) add("prefill_tok_s", bench_sample(rates(c.prefill_s, at.context)));
  if (c.side == KvMeasured::Side::kPolicy) {
    const Runs bound = bound_s(at, c.kv_read_bytes);
    if (!bound.empty()) add("bound_tok_s", bench_sample(rates(bound, 1)));
  }
  add("read_bytes_a_token", counted(static_cast<double>(weight_bytes + c.kv_read_bytes)));
  add("kv_bytes", counted(static_cast<double>(c.kv_read_bytes)));
  if (c.peak_kv_bytes > 0) add("peak_kv_bytes", counted(static_cast<double>(c.peak_kv_bytes)));
  if (c.peak_rss_bytes > 0) add("peak_rss_bytes", counted(static_cast<double>(c.peak_rss_bytes)));
  if (std::ranges::any_of(c.policy_share, [](double share) { return share > 0; }))
    add("policy_share_of_prefill", bench_sample(c.policy_share));
  if (!c.replace_share.empty()) add("replace_share_of_decode", bench_sample(c.replace_share));
  if (c.quality) {
    add("kl_nats", counted(c.quality->kl));
    add("top1_agreement", counted(c.quality->top1));
  }
  return row;
}

// The targets stand for the contexts at which they were set.
void add_full_ratios(const KvContextMeasured& at, Ratios& ratios) {
  const KvMeasured& full = at.contestants.front();
  if (const KvMeasured* peer = faster_peer(at, &KvMeasured::decode_s)) {
    ratios.add(fmt::format("decode_full_vs_libllama_{}", at.context),
               quotients(peer->decode_s, full.decode_s),
               at.context == 128    ? at_least(1.3)
               : at.context == 8000 ? at_least(2.0)
                                    : std::nullopt);
  }
  if (const KvMeasured* peer = faster_peer(at, &KvMeasured::prefill_s)) {
    ratios.add(fmt::format("prefill_full_vs_libllama_{}", at.context),
               quotients(peer->prefill_s, full.prefill_s),
               at.context == 2048 || at.context == 8000 ? at_least(1.6) : std::nullopt);
  }
}

// Decode attention as it is inside a token's time: (entry, KV head) pairs a second, over what
// reading F16 pairs at the measured bandwidth would allow. For each cache type that keeps
// everything, and the best of them in front.
void add_attention_ratios(const KvContextMeasured& at, Ratios& ratios) {
  const auto f16_bytes = static_cast<double>(at.contestants.front().kv_read_bytes);
  std::vector<std::pair<std::string, Runs>> by_type;
  for (const KvMeasured& c : at.contestants) {
    if (c.full_cache_type.empty()) continue;
    Runs shares;
    const size_t n = std::min({c.decode_s.size(), at.empty_s.size(), at.bandwidth.size()});
    for (size_t i = 0; i < n; ++i) {
      const double attention_s = c.decode_s[i] - at.empty_s[i];
      if (attention_s > 0) shares.push_back(f16_bytes / attention_s / at.bandwidth[i]);
    }
    if (!shares.empty()) by_type.emplace_back(c.full_cache_type, std::move(shares));
  }
  if (by_type.empty()) return;
  const std::string key = "attention_entries_per_s_vs_f16_bound";
  const auto best = std::ranges::max_element(
      by_type, {}, [](const auto& type) { return bench_sample(type.second).median; });
  ratios.add(key, best->second, at.context == 8000 ? at_least(0.5) : std::nullopt);
  for (const auto& [type, shares] : by_type) ratios.add(fmt::format("{}_{}", key, type), shares);
}

// What keeping the cache at its size costs, by our timers and, with everything that those do not
// see, against the same cache growing.
void add_replacing_ratios(const KvContextMeasured& at, const KvMeasured& growing,
                          const std::string& replacing, const std::string& key_end,
                          const std::optional<BenchTarget>& target, Ratios& ratios) {
  const KvMeasured* c = find(at, replacing);
  if (c == nullptr) return;
  ratios.add("replace_cost_share_of_decode" + key_end, c->replace_share, target);
  ratios.add(fmt::format("decode_replacing_vs_growing_{}{}", at.context, key_end),
             quotients(growing.decode_s, c->decode_s));
}

void add_cake_ratios(const KvContextMeasured& at, const KvRatioSubjects& subjects, Ratios& ratios) {
  const KvMeasured& cake = *find(at, subjects.cake);
  const std::string& label = subjects.label;
  const KvMeasured& full = at.contestants.front();
  // The targets are for 1,024 of 8,000 tokens.
  const bool has_target = label == "cake1024" && at.context == 8000;
  const auto target = [&](const BenchTarget& wanted) {
    return has_target ? std::optional(wanted) : std::nullopt;
  };
  if (const KvMeasured* peer = faster_peer(at, &KvMeasured::decode_s)) {
    ratios.add(fmt::format("decode_{}_vs_libllama_{}", label, at.context),
               quotients(peer->decode_s, cake.decode_s), target({Kind::kAtLeast, 3.5}));
  }
  ratios.add(fmt::format("decode_{}_share_of_bound_{}", label, at.context),
             quotients(bound_s(at, cake.kv_read_bytes), cake.decode_s),
             target({Kind::kAtLeast, 0.85}));
  ratios.add(fmt::format("prefill_cake_vs_full_{}", at.context),
             quotients(full.prefill_s, cake.prefill_s), target({Kind::kAtLeast, 0.97}));
  if (cake.peak_formula_bytes > 0) {
    ratios.add(
        "peak_kv_bytes_vs_formula",
        {static_cast<double>(cake.peak_kv_bytes) / static_cast<double>(cake.peak_formula_bytes)},
        target({Kind::kNear, 1, 0.02}));
  }
  if (full.peak_rss_bytes > 0 && cake.peak_rss_bytes > 0) {
    ratios.add("peak_rss_vs_full", {static_cast<double>(full.peak_rss_bytes) /
                                    static_cast<double>(cake.peak_rss_bytes)});
  }
  if (const KvMeasured* whole = find(at, subjects.no_cascade)) {
    ratios.add("peak_kv_without_vs_with_cascade", {static_cast<double>(whole->peak_kv_bytes) /
                                                   static_cast<double>(cake.peak_kv_bytes)});
  }
  Runs score_share;
  std::ranges::transform(cake.policy_share, cake.copy_share, std::back_inserter(score_share),
                         std::minus<>());
  ratios.add("score_cost_share_of_prefill", score_share, target({Kind::kAtMost, 0.01}));
  ratios.add("copy_cost_share_of_prefill", cake.copy_share);
  const std::optional<BenchTarget> replace_target = target({Kind::kAtMost, 0.05});
  add_replacing_ratios(at, cake, subjects.replacing, "", replace_target, ratios);
  add_replacing_ratios(at, cake, subjects.replacing_tova, "_tova", replace_target, ratios);
}

}  // namespace

KvRatioSubjects KvRatioSubjects::of_budget(int32_t budget) {
  const std::string cake = fmt::format("cake:budget={}", budget);
  return {fmt::format("cake{}", budget), cake, cake + ",decode=cake", cake + ",decode=tova",
          cake + ",cascade=off"};
}

void fill_kv_report(std::span<const KvContextMeasured> contexts, const KvRatioSubjects& subjects,
                    int64_t weight_bytes, BenchReport& report) {
  using Plot = BenchColumn::Plot;
  report.columns = {
      {"decode_tok_s", "decode tok/s", BenchFormat::kRate, Plot::kLine, false,
       "Higher is better. Whiskers: quartiles over runs."},
      {"bound_tok_s", "bound tok/s", BenchFormat::kRate},
      {"prefill_tok_s", "prefill tok/s", BenchFormat::kRate, Plot::kBars, false,
       "Higher is better. Whiskers: quartiles over runs."},
      {"read_bytes_a_token", "read a token", BenchFormat::kBytes, Plot::kNone, true},
      {"kv_bytes", "KV held", BenchFormat::kBytes, Plot::kBars, true,
       "Lower is better. K and V of the prompt that the next token reads.", false},
      {"peak_kv_bytes", "peak KV", BenchFormat::kBytes, Plot::kNone, true},
      {"peak_rss_bytes", "peak RSS", BenchFormat::kBytes, Plot::kNone, true, "", false},
      {"policy_share_of_prefill", "policy", BenchFormat::kShare, Plot::kNone, true, "", false},
      {"replace_share_of_decode", "replacing", BenchFormat::kShare, Plot::kNone, true, "", false},
      {"kl_nats", "KL to full", BenchFormat::kSmall, Plot::kBars, true,
       "Lower is better. Nats a token over a teacher-forced continuation."},
      {"top1_agreement", "same top 1", BenchFormat::kShare}};
  Ratios ratios(report);
  const KvContextMeasured* last = nullptr;  // the longest context at which the budget binds
  for (const KvContextMeasured& at : contexts) {
    assert(!at.contestants.empty());
    for (const KvMeasured& c : at.contestants) report.rows.push_back(row_of(at, c, weight_bytes));
    add_full_ratios(at, ratios);
    const KvMeasured* cake = find(at, subjects.cake);
    if (cake != nullptr && cake->peak_formula_bytes > 0) last = &at;
  }
  if (!contexts.empty()) {
    // The shortest context has the least work between two barriers.
    const KvContextMeasured& first = contexts.front();
    ratios.add("barrier_share_of_decode", first.barrier_share, BenchTarget{Kind::kAtMost, 0.05});
    ratios.add("traced_decode_time_cost",
               quotients(first.traced_s, first.contestants.front().decode_s));
  }
  if (last != nullptr) {
    add_cake_ratios(*last, subjects, ratios);
  }
  // At the longest context attention is the largest part of a token's time.
  if (!contexts.empty()) add_attention_ratios(contexts.back(), ratios);
}

}  // namespace reprise
