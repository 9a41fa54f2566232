#include "engines/generate/exact_check.h"

#include <algorithm>
#include <chrono>

#include "engines/generate/sequence.h"
#include "policies/registry.h"

namespace reprise {

ExactCheck check_against_exact(std::shared_ptr<const DecoderModel> model, const Backend& backend,
                               std::span<const int32_t> prompt, std::span<const int32_t> answer,
                               const PrefillProgress& progress) {
  Sequence exact(std::move(model), backend, make_kv_policy("full"));
  ExactCheck check;
  check.n_steps = static_cast<int32_t>(answer.size());
  std::span<const float> logits =
      exact.prefill(prompt, {.n_growth = check.n_steps, .n_compress = -1, .progress = progress});
  check.prefill_s = exact.last_prefill().total_s;
  const auto start = std::chrono::steady_clock::now();
  for (const int32_t token : answer) {
    const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
    check.n_same_best += best == token ? 1 : 0;
    logits = exact.decode(token);
  }
  check.decode_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  check.peak_kv_bytes = exact.kv().memory().peak();
  return check;
}

}  // namespace reprise
