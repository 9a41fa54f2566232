#include "cli/explain.h"

#include <spdlog/spdlog.h>

#include "core/quantities.h"

namespace reprise {

void explain_prefill(const PrefillReport& report, const KvPlan& plan, const std::string& policy) {
  if (plan.budget.kind == Budget::Kind::kUnlimited) return;
  if (!report.is_cascade) {
    spdlog::info("--kv {}: the budget holds all {} tokens of the prompt, nothing was dropped",
                 policy, format_count(report.n_tokens));
    return;
  }
  size_t i_eligible = 0;
  for (size_t il = 0; il < report.kept.size(); ++il) {
    if (report.kept[il] == 0) continue;  // a sliding-window layer
    spdlog::debug("layer {}: keeps {} of {} entries, preference {:.4g}", il,
                  format_count(report.kept[il]), format_count(report.n_tokens),
                  report.preference[i_eligible++]);
  }
}

}  // namespace reprise
