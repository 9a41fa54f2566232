#pragma once

#include "policies/kv/indicator.h"
#include "policies/registry.h"

namespace reprise {

// Keeps in every layer the same number of entries, those that the last queries attended to most.
// Source: SnapKV, arXiv 2404.14469, with average pooling as in its code.
class SnapKv final : public KvPolicy {
 public:
  SnapKv(const KvPlan& plan, int32_t n_pool);
  KvPlan plan() const override { return plan_; }
  void score(const KvLayerView& layer, std::span<float> scores) const override;
  std::vector<int32_t> split(const SplitInput& in) const override { return split_uniform(in); }

 private:
  KvPlan plan_;
  int32_t n_pool_;
};

extern const PolicyEntry kSnapKv;

}  // namespace reprise
