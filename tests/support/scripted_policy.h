#pragma once

#include <functional>
#include <map>

#include "policies/kv/kv_policy.h"

namespace reprise::test {

// A policy whose scores a test writes as a function of (layer, KV head, candidate), with a uniform
// split; it remembers what it was shown.
class ScriptedPolicy final : public KvPolicy {
 public:
  using Score = std::function<float(int32_t il, int32_t g, int32_t n)>;
  ScriptedPolicy(KvPlan plan, Score score) : plan_(plan), score_(std::move(score)) {}

  KvPlan plan() const override { return plan_; }
  double preference(const KvLayerView& /*layer*/) const override { return 1; }
  void score(const KvLayerView& layer, std::span<float> scores) const override {
    if (layer.stats != nullptr) stats[layer.il] = *layer.stats;
    sums[layer.il].assign(layer.prompt_sum.begin(), layer.prompt_sum.end());
    for (int32_t g = 0; g < layer.n_head_kv; ++g) {
      for (int32_t n = 0; n < layer.n_candidates; ++n) {
        scores[static_cast<size_t>(g) * layer.n_candidates + n] = score_(layer.il, g, n);
      }
    }
  }
  std::vector<int32_t> split(const SplitInput& in) const override { return split_uniform(in); }

  mutable std::map<int32_t, WindowStats> stats;        // by layer
  mutable std::map<int32_t, std::vector<float>> sums;  // by layer

 private:
  KvPlan plan_;
  Score score_;
};

inline KvPlan entries(int32_t budget, int32_t n_window) {
  KvPlan plan;
  plan.budget = {Budget::Kind::kEntries, static_cast<double>(budget)};
  plan.n_window = n_window;
  plan.needs_window_stats = true;
  return plan;
}

}  // namespace reprise::test
