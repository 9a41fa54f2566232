#include "policies/kv/kv_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <iterator>
#include <utility>

#include "core/error.h"

namespace reprise {
namespace {

// First the default.
constexpr std::pair<std::string_view, KvType> kTypes[] = {
    {"f16", KvType::kF16}, {"f32", KvType::kF32}, {"q8_0", KvType::kQ8_0}, {"q4_0", KvType::kQ4_0}};
constexpr std::pair<std::string_view, KvDecode> kDecodes[] = {
    {"grow", KvDecode::kGrow},
    {"cake", KvDecode::kCake},
    {"cake_official", KvDecode::kCakeOfficial},
    {"tova", KvDecode::kTova},
    {"ema", KvDecode::kEma}};

template <typename Table>
std::vector<std::string_view> names(const Table& table) {
  std::vector<std::string_view> out;
  for (const auto& [name, value] : table) out.push_back(name);
  return out;
}

template <typename Table>
auto value_of(const Table& table, std::string_view name) {
  const auto found =
      std::ranges::find_if(table, [&](const auto& row) { return row.first == name; });
  assert(found != std::end(table));
  return found->second;
}

}  // namespace

OptionSpec kv_type_option() {
  return choice_option("type", names(kTypes), "how keys and values are stored");
}

KvType kv_type(const Options& options) { return value_of(kTypes, options.choice("type")); }

OptionSpec kv_pool_option() {
  return odd_int_option(
      "pool", 5, 1, 15,
      "neighbouring entries averaged when a prompt is ranked; decode=cake averages 5 always");
}

std::vector<OptionSpec> kv_options(std::vector<OptionSpec> own) {
  std::vector<OptionSpec> all = {
      budget_option("budget", "1024",
                    "what may stay after every turn's prefill: entries a layer, window included, "
                    "on average; or all bytes of the cache; or a share of all tokens read; in a "
                    "conversation of all turns together (turns)"),
      int_option("window", 32, 4, 256,
                 "last entries of a prompt, always kept; their queries rank the others"),
      kv_type_option(),
      choice_option(
          "decode", names(kDecodes),
          "what generated tokens do: grow keeps all; the others hold the cache at its "
          "size and drop the entry of lowest attention, pooled by position (cake), pooled "
          "by rank (cake_official), as it is (tova) or as a decaying sum (ema)"),
      int_option("every", 1, 1, 1024, "steps from one drop to the next while decoding"),
      choice_option("turns", {"whole", "each"},
                    "whose entries a budget counts in a conversation: those of the whole, judged "
                    "together when it is full, or each turn's own, earlier ones staying as they "
                    "are and adding up"),
  };
  std::ranges::move(own, std::back_inserter(all));
  return all;
}

KvPlan kv_plan(const Options& options, int32_t n_sink, int32_t n_min) {
  KvPlan plan;
  plan.type = kv_type(options);
  plan.budget = options.budget("budget");
  plan.n_window = options.i32("window");
  plan.decode = value_of(kDecodes, options.choice("decode"));
  plan.decode_every = options.i32("every");
  plan.judges_turns_alone = options.choice("turns") == "each";
  if (plan.judges_turns_alone && plan.budget.kind == Budget::Kind::kBytes) {
    throw Error(fmt::format(
        "{}: turns=each gives every turn a budget of its own, but budget={} is for all bytes of "
        "the cache; give entries (1024) or a share (12.5%), or leave turns out",
        options.where(), to_string(plan.budget)));
  }
  const int32_t n_fixed = plan.n_window + n_sink;
  plan.n_least = plan.n_window + std::max(n_sink + 1, n_min);
  if (plan.budget.kind == Budget::Kind::kEntries && plan.budget.value <= n_fixed) {
    const std::string sinks = n_sink > 0 ? fmt::format(" and {} sink entries", n_sink) : "";
    throw Error(
        fmt::format("{}: budget={} leaves nothing beside the window of {} entries{}; raise budget "
                    "to at least {} or lower window (4 at least)",
                    options.where(), to_string(plan.budget), plan.n_window, sinks, n_fixed + 1));
  }
  return plan;
}

}  // namespace reprise
