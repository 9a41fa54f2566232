#include "policies/kv/cake.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cassert>
#include <limits>

#include "core/error.h"
#include "policies/kv/kv_options.h"
#include "policies/kv/split_floor.h"

namespace reprise {
namespace {

constexpr double kPyramidBeta = 20;  // PyramidKV's own

// Constants that the authors published per model and budget in entries.
struct Preset {
  std::string_view model;
  int32_t budget;
  double tau1, tau2;
};
constexpr Preset kPresets[] = {
    {"llama-2-7b-chat", 128, 0.9, 2.3},          {"llama-2-7b-chat", 1024, 1.9, 1.8},
    {"llama-2-13b-chat", 128, 1.8, 2.0},         {"llama-2-13b-chat", 1024, 0.5, 0.4},
    {"llama-3.1-8b-instruct", 128, 1.6, 0.6},    {"llama-3.1-8b-instruct", 1024, 1.6, 0.4},
    {"mistral-7b-instruct-v0.3", 128, 1.0, 0.8}, {"mistral-7b-instruct-v0.3", 1024, 0.8, 0.5},
    {"qwen2.5-7b-instruct", 128, 0.4, 0.6},      {"qwen2.5-7b-instruct", 1024, 1.5, 0.6},
};

std::vector<std::string_view> preset_names() {
  std::vector<std::string_view> names = {"none"};
  for (const Preset& preset : kPresets) {
    if (names.back() != preset.model) names.push_back(preset.model);
  }
  return names;
}

// The preset's taus for the budget, or nothing with preset=none. Throws Error when the authors
// tuned none for that budget.
const Preset* chosen_preset(const Options& o) {
  const std::string_view model = o.choice("preset");
  if (model == "none") return nullptr;
  const Budget& budget = o.budget("budget");
  std::vector<int32_t> tuned;
  for (const Preset& preset : kPresets) {
    if (preset.model != model) continue;
    if (budget.kind == Budget::Kind::kEntries && budget.value == preset.budget) return &preset;
    tuned.push_back(preset.budget);
  }
  throw Error(fmt::format(
      "{}: preset={} was tuned for budget={} only, not for {}; set tau1 and tau2 instead",
      o.where(), model, fmt::join(tuned, " and budget="), to_string(budget)));
}

CakeConfig cake_config(const Options& o) {
  constexpr std::pair<std::string_view, CakeConfig::Split> kSplits[] = {
      {"waterfill", CakeConfig::Split::kWaterfill},
      {"official", CakeConfig::Split::kOfficial},
      {"uniform", CakeConfig::Split::kUniform},
      {"pyramid", CakeConfig::Split::kPyramid}};
  CakeConfig config;
  const Preset* const preset = chosen_preset(o);
  config.tau1 = preset != nullptr && !o.is_given("tau1") ? preset->tau1 : o.real("tau1");
  config.tau2 = preset != nullptr && !o.is_given("tau2") ? preset->tau2 : o.real("tau2");
  config.indicator = {.gamma = o.real("gamma"), .n_pool = o.i32("pool")};
  config.n_sink = o.i32("sink");
  config.split = std::ranges::find(kSplits, o.choice("split"), [](const auto& row) {
                   return row.first;
                 })->second;
  config.n_min = o.i32("min");
  return config;
}

}  // namespace

CakeKv::CakeKv(const KvPlan& plan, const CakeConfig& config) : plan_(plan), config_(config) {
  plan_.needs_window_stats = true;
}

double CakeKv::preference(const KvLayerView& layer) const {
  assert(layer.stats != nullptr);
  return layer_preference(*layer.stats, config_.tau1, config_.tau2);
}

void CakeKv::score(const KvLayerView& layer, std::span<float> scores) const {
  attention_indicator(config_.indicator, kCakeKv.name, layer, scores);
  const size_t n_sink = std::min(config_.n_sink, layer.n_candidates);
  for (int32_t g = 0; g < layer.n_head_kv; ++g) {
    std::ranges::fill(scores.subspan(static_cast<size_t>(g) * layer.n_candidates, n_sink),
                      std::numeric_limits<float>::max());
  }
}

// A layer without variance says nothing about its share, so nobody's share is known.
bool CakeKv::falls_back(std::span<const double> preference) const {
  if (config_.split != CakeConfig::Split::kWaterfill &&
      config_.split != CakeConfig::Split::kOfficial) {
    return false;  // they do not look at it
  }
  return is_unusable(preference) || std::ranges::find(preference, 0.0) != preference.end();
}

std::vector<int32_t> CakeKv::split(const SplitInput& in) const {
  std::vector<double> preference(in.preference.begin(), in.preference.end());
  if (falls_back(preference)) std::ranges::fill(preference, 1.0);
  SplitInput usable = in;
  usable.preference = preference;
  const int32_t n_min = std::max(config_.n_min, config_.n_sink);  // sinks need their places
  switch (config_.split) {
    case CakeConfig::Split::kWaterfill:
      return split_with_floor(split_waterfill, usable, n_min);
    case CakeConfig::Split::kOfficial:
      return split_with_floor(split_official, usable, n_min);
    case CakeConfig::Split::kUniform:
      return split_uniform(in);
    case CakeConfig::Split::kPyramid:
      break;
  }
  // The shape of all layers, known or not, is the preference; filling by it returns the shape
  // itself where no layer is below the floor.
  preference.assign(in.n_layer, 1.0);
  usable.preference = preference;
  const std::vector<int32_t> shape = split_pyramid(usable, kPyramidBeta);
  preference.assign(shape.begin(), shape.end());
  std::vector<int32_t> out = split_with_floor(split_waterfill, usable, n_min);
  out.resize(in.preference.size());
  return out;
}

const PolicyEntry kCakeKv = {
    .name = "kv/cake",
    .summary =
        "measure each layer's attention while prefilling, give layers shares of one budget "
        "and keep their best entries",
    .source = "CAKE, arXiv 2503.12491, ICLR 2025",
    .when_to_use =
        "long prompts with the question at their end; small budgets, where layers differ",
    .when_not =
        "short prompts; questions that come after the prompt was compressed; where "
        "kv/full:type=q8_0 is small enough",
    .options = kv_options({
        real_option("tau1", 1, 0.1, 10, "damps the entropy H in P = H^(1/tau1) V^(1/tau2)"),
        real_option("tau2", 1, 0.1, 10, "damps the variance V in the same"),
        real_option("gamma", 200, 0, 1e4, "weight of the variance beside the mean attention"),
        kv_pool_option(),
        int_option("sink", 0, 0, 64, "first entries, always kept; 4 is good, 0 CAKE's"),
        choice_option("split", {"waterfill", "official", "uniform", "pyramid"},
                      "how layers share: by preference without waste, by CAKE's own integer rule, "
                      "equally, or falling with depth"),
        int_option("min", 0, 0, 65536, "entries beside the window that every layer gets at least"),
        choice_option("preset", preset_names(),
                      "tau1 and tau2 as CAKE's authors tuned them, for budget=128 and budget=1024; "
                      "a tau given beside it counts"),
    }),
    .make = [](const Options& o) -> std::unique_ptr<Policy> {
      const CakeConfig config = cake_config(o);
      const KvPlan plan = kv_plan(o, config.n_sink, config.n_min);
      if (plan.budget.kind == Budget::Kind::kEntries &&
          plan.n_window + config.n_min > plan.budget.value) {
        throw Error(fmt::format(
            "{}: min={} and window={} do not fit into budget={}; lower min to {} or raise budget",
            o.where(), config.n_min, plan.n_window, to_string(plan.budget),
            plan.budget.value - plan.n_window));
      }
      return std::make_unique<CakeKv>(plan, config);
    }};

}  // namespace reprise
