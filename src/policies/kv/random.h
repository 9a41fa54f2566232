#pragma once

#include "policies/registry.h"

namespace reprise {

// Keeps entries by lot: the control that any ranking has to beat. The lot of an entry is a hash of
// (seed, layer, KV head, place in the turn), so that runs repeat. Source: ours.
class RandomKv final : public KvPolicy {
 public:
  RandomKv(const KvPlan& plan, int32_t seed) : plan_(plan), seed_(seed) {}
  KvPlan plan() const override { return plan_; }
  void score(const KvLayerView& layer, std::span<float> scores) const override;
  std::vector<int32_t> split(const SplitInput& in) const override { return split_uniform(in); }

 private:
  KvPlan plan_;
  int32_t seed_;
};

extern const PolicyEntry kRandomKv;

}  // namespace reprise
