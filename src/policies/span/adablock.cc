#include "policies/span/adablock.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <utility>

#include "core/error.h"
#include "policies/span/fixed.h"

namespace reprise {
namespace {

using Pick = AdaBlockConfig::Pick;
using Window = AdaBlockConfig::Window;

bool is_off(const AdaBlockConfig& config) { return std::isinf(config.tau_d); }

// Positions that a plan looks at, before the end of the text clips them. As the published code, the
// product is one F64 multiplication rounded down.
int32_t n_window(const AdaBlockConfig& config, int32_t budget, int32_t n_done) {
  const bool is_budget = config.window == Window::kBudget;
  const auto n = static_cast<int32_t>(std::floor(config.rho * (is_budget ? budget : n_done)));
  return is_budget ? n : std::max(1, n);
}

void check_finite(std::string_view name, std::span<const Proposal> rows, int32_t n_done) {
  const auto bad = std::ranges::find_if(
      rows, [](const Proposal& row) { return !std::isfinite(row.confidence); });
  if (bad == rows.end()) return;
  throw Error(
      fmt::format("{}: the confidence at position {} of the answer is {}; the model file or its "
                  "inputs are broken",
                  name, n_done + (bad - rows.begin()), bad->confidence));
}

class AdaBlockPlanner final : public SpanPlanner {
 public:
  AdaBlockPlanner(std::string_view name, const AdaBlockConfig& config, const SpanRequest& request)
      : name_(name), config_(config), budget_(request.budget), delimiters_(request.delimiters) {
    assert(delimiters_ != nullptr);
  }

  int32_t reach(const SpanView& view) const override {
    return std::max(n_window(config_, budget_, view.n_done), config_.b0);
  }

  SpanPlan plan(const SpanView& view) override {
    const int32_t n_rows = std::min(n_window(config_, budget_, view.n_done), view.n_left);
    assert(static_cast<size_t>(n_rows) <= view.rows.size());
    const auto rows = view.rows.first(n_rows);
    check_finite(name_, rows, view.n_done);
    int32_t best = -1;    // the most confident delimiter, the first among equals
    int32_t chosen = -1;  // the one that `pick` points at
    for (int32_t i = config_.n_min - 1; i < n_rows; ++i) {
      if (!delimiters_->has(rows[i].token)) continue;
      if (best < 0 || rows[i].confidence > rows[best].confidence) best = i;
      if (is_picked(chosen, rows[i].confidence)) chosen = i;
    }
    if (config_.pick == Pick::kMax) chosen = best;
    SpanPlan plan{.n = std::min(config_.b0, view.n_left), .reason = SpanReason::kNoDelimiter};
    if (best < 0) return plan;
    if (chosen < 0) chosen = best;  // below tau_d, as all are
    plan.confidence = rows[chosen].confidence;
    if (plan.confidence >= config_.tau_d) {
      plan.n = chosen + 1;
      plan.reason = SpanReason::kDelimiter;
      plan.i_delimiter = chosen;
    } else {
      plan.reason = SpanReason::kLowConfidence;
    }
    return plan;
  }

 private:
  // Whether a delimiter takes the place of `chosen` (-1: none yet) when they are seen in order.
  bool is_picked(int32_t chosen, float confidence) const {
    switch (config_.pick) {
      case Pick::kMax:
        return false;  // known after all have been seen
      case Pick::kFirstAbove:
        return chosen < 0 && confidence >= config_.tau_d;
      case Pick::kLastAbove:
        return confidence >= config_.tau_d;
      case Pick::kFirst:
        break;
    }
    return chosen < 0;
  }

  std::string_view name_;
  AdaBlockConfig config_;
  int32_t budget_;
  const TokenSet* delimiters_;
};

// First the default.
constexpr std::pair<std::string_view, Window> kWindows[] = {{"progress", Window::kProgress},
                                                            {"budget", Window::kBudget}};
constexpr std::pair<std::string_view, Pick> kPicks[] = {
    {"max", Pick::kMax}, {"first_above", Pick::kFirstAbove}, {"last_above", Pick::kLastAbove}};

template <typename Table>
auto value_of(const Table& table, std::string_view name) {
  return std::ranges::find_if(table, [&](const auto& row) { return row.first == name; })->second;
}

}  // namespace

AdaBlockSpan::AdaBlockSpan(std::string_view name, AdaBlockConfig config)
    : name_(name), config_(std::move(config)) {}

SpanNeeds AdaBlockSpan::needs() const {
  if (is_off(config_)) return {};
  return {.needs_delimiters = true, .delimiters = config_.delimiters};
}

int32_t AdaBlockSpan::fixed_length(int32_t /*budget*/) const {
  return is_off(config_) ? config_.b0 : 0;
}

std::unique_ptr<SpanPlanner> AdaBlockSpan::begin(const SpanRequest& request) const {
  if (is_off(config_)) return std::make_unique<FixedSpanPlanner>(config_.b0);
  return std::make_unique<AdaBlockPlanner>(name_, config_, request);
}

std::vector<OptionSpec> adablock_options(std::string_view without) {
  std::vector<OptionSpec> all = {
      real_option("tau_d", 0.3, 0, std::numeric_limits<double>::infinity(),
                  "least confidence of a delimiter that ends a span; 0.3 suits LLaDA, 0.5 Dream; "
                  "inf turns the rule off"),
      int_option("b0", 32, 1, 65536, "positions of a span without such a delimiter"),
      positive_option("rho", 0.25, 1, "the window ahead as a share of what `window` says"),
      choice_option("window", {kWindows[0].first, kWindows[1].first},
                    "share of the positions filled so far, as AdaBlock's paper has it, or of the "
                    "budget, as its code has it"),
      choice_option("pick", {kPicks[0].first, kPicks[1].first, kPicks[2].first},
                    "which delimiter: the most confident, the first of at least tau_d, or the last "
                    "such"),
      int_option(
          "min", 1, 1, 65536,
          "least positions of a span that ends at a delimiter; earlier ones are passed over"),
      text_option("delimiters", "newline",
                  "newline, newline-exact, sentence, digit, token ids or texts, joined by +"),
  };
  std::erase_if(all, [&](const OptionSpec& spec) { return spec.name == without; });
  return all;
}

AdaBlockConfig adablock_config(const Options& options, std::string_view without) {
  AdaBlockConfig config;
  // No probability is above 1.
  const double tau_d = options.real("tau_d");
  config.tau_d = tau_d > 1 ? std::numeric_limits<float>::infinity() : static_cast<float>(tau_d);
  config.b0 = options.i32("b0");
  config.rho = options.real("rho");
  config.window = value_of(kWindows, options.choice("window"));
  config.n_min = options.i32("min");
  if (without != "pick") config.pick = value_of(kPicks, options.choice("pick"));
  if (without != "delimiters") config.delimiters = options.text("delimiters");
  return config;
}

const PolicyEntry kAdaBlockSpan = {
    .name = "span/adablock",
    .summary = "end a span at a line break that the model already predicts with confidence",
    .source = "AdaBlock-dLLM, arXiv 2509.26432, ICLR 2026",
    .when_to_use =
        "answers of lines or steps of unequal length, most of all with a cache, or where "
        "nobody knows a good fixed length",
    .when_not =
        "text whose line breaks mean nothing, or lines longer than the window, where it is "
        "span/fixed:len=b0",
    .options = adablock_options(),
    .make = [](const Options& o) -> std::unique_ptr<Policy> {
      return std::make_unique<AdaBlockSpan>(kAdaBlockSpan.name, adablock_config(o));
    }};

}  // namespace reprise
