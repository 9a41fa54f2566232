#include "cli/explain.h"

#include <spdlog/spdlog.h>

#include "cli/explain_prompt_weights.h"
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
    if (report.judged[il] == 0) continue;  // a sliding-window layer
    spdlog::debug("layer {}: keeps {} of {} entries, preference {:.4g}", il,
                  format_count(report.kept[il]), format_count(report.judged[il]),
                  report.preference[i_eligible++]);
  }
  if (report.n_fallbacks > 0) {
    spdlog::debug(
        "--kv {}: {} times the budget was split equally, as a layer's attention had no variance",
        policy, report.n_fallbacks);
  }
}

void explain_weights(const TextModel& model, const ComputeFlags& flags) {
  explain_prompt_weights(model, flags);
  if (model.decoder->has_copied_weights()) {
    spdlog::debug("--mmap {}: {} of weights copied into large pages", flags.mmap,
                  format_bytes(model.decoder->n_weight_bytes()));
  } else if (flags.mmap == "off" && flags.device == "cpu") {
    spdlog::info("--mmap off: no memory for a copy of {}; the weights stay in the file's pages",
                 format_bytes(model.decoder->n_weight_bytes()));
  }
}

void explain_products(const ProductLog& log, const ComputeFlags& flags) {
  for (const ProductLog::Entry& entry : log.entries()) {
    spdlog::debug("--weights {}: {} ({} matrices, {}): {} by {}", flags.weights,
                  ggml_type_name(entry.type), entry.n(), format_bytes(entry.n_bytes),
                  phase_name(entry.phase), entry.kernel);
  }
}

}  // namespace reprise
