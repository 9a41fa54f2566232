#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "policies/registry.h"

namespace reprise {

// The rule's parameters.
struct AdaBlockConfig {
  float tau_d = 0.3F;  // least confidence of a delimiter that ends a span; +inf: none ever does
  int32_t b0 = 32;     // positions of a span without such a delimiter
  double rho = 0.25;   // the window's share of what `window` says
  enum class Window : uint8_t {
    kProgress,  // max(1, floor(rho * positions filled)), as the paper has it
    kBudget,    // floor(rho * budget), as the published code has it
  } window = Window::kProgress;
  enum class Pick : uint8_t {
    kMax,         // the most confident delimiter
    kFirstAbove,  // the first of at least tau_d
    kLastAbove,   // the last of at least tau_d
    kFirst,       // the first; one below tau_d ends no span
  } pick = Pick::kMax;
  int32_t n_min = 1;  // a delimiter that would end a shorter span is passed over
  std::string delimiters = "newline";
};

// Ends a span at a delimiter (a line break) that the model already predicts with enough confidence
// in a window ahead, and falls back to a fixed length. Source: AdaBlock-dLLM, arXiv 2509.26432,
// algorithm 1 and its code; n_min and the two picks by place are ours.
class AdaBlockSpan final : public SpanPolicy {
 public:
  // `name` stands in errors: the controls of the rule are this class with another configuration.
  AdaBlockSpan(std::string_view name, AdaBlockConfig config);
  const AdaBlockConfig& config() const { return config_; }
  SpanNeeds needs() const override;
  // Known with tau_d=inf, where the rule is span/fixed.
  int32_t fixed_length(int32_t budget) const override;
  std::unique_ptr<SpanPlanner> begin(const SpanRequest& request) const override;

 private:
  std::string_view name_;
  AdaBlockConfig config_;
};

// The options of the rule in AdaBlock's order, and their values. A control may go without "pick" or
// without "delimiters"; that value then stays as it is in AdaBlockConfig.
std::vector<OptionSpec> adablock_options(std::string_view without = "");
AdaBlockConfig adablock_config(const Options& options, std::string_view without = "");

extern const PolicyEntry kAdaBlockSpan;

}  // namespace reprise
