#include "cli/explain.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "core/prompt_matmul_node.h"
#include "core/quantities.h"

namespace reprise {
namespace {

constexpr int64_t kLongPromptTokens = 512;

// The matrices of one type.
struct WeightMatrices {
  ggml_type type;
  PromptKernel kernel;
  int64_t n = 0;
  int64_t n_bytes = 0;
};

std::vector<WeightMatrices> weight_matrices(const GgufFile& file, WeightUse use) {
  std::vector<WeightMatrices> all;
  for (const GgufTensor& tensor : file.tensors()) {
    if (tensor.ne[1] < 2) continue;  // norms and biases
    auto same = std::ranges::find(all, tensor.type, &WeightMatrices::type);
    if (same == all.end()) {
      all.push_back({tensor.type, prompt_kernel(use, tensor.type, kLongPromptTokens)});
      same = all.end() - 1;
    }
    ++same->n;
    same->n_bytes += static_cast<int64_t>(tensor.n_bytes);
  }
  std::ranges::sort(all, std::greater(), &WeightMatrices::n_bytes);
  return all;
}

}  // namespace

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
        "--kv {}: {} of {} splits of the budget were equal, as a layer's attention had no variance",
        policy, report.n_fallbacks, report.preference.size());
  }
}

void explain_weights(const TextModel& model, const ComputeFlags& flags) {
  for (const WeightMatrices& weights : weight_matrices(*model.file, flags.weight_use())) {
    spdlog::debug("--weights {}: {} ({} matrices, {}): prompts by {}", flags.weights,
                  ggml_type_name(weights.type), weights.n, format_bytes(weights.n_bytes),
                  prompt_kernel_name(weights.kernel));
  }
  if (model.decoder->has_copied_weights()) {
    spdlog::debug("--mmap {}: {} of weights copied into large pages", flags.mmap,
                  format_bytes(model.decoder->n_weight_bytes()));
  } else if (flags.mmap == "off" && flags.device == "cpu") {
    spdlog::info("--mmap off: no memory for a copy of {}; the weights stay in the file's pages",
                 format_bytes(model.decoder->n_weight_bytes()));
  }
}

int64_t n_matrices_by_ggml(const GgufFile& file, const ComputeFlags& flags) {
  int64_t n = 0;
  for (const WeightMatrices& weights : weight_matrices(file, flags.weight_use()))
    if (weights.kernel == PromptKernel::kGgml) n += weights.n;
  return n;
}

}  // namespace reprise
