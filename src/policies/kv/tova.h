#pragma once

#include "policies/registry.h"

namespace reprise {

// Keeps the entries that the very last query attended to most; all heads of a layer keep the same.
// Source: TOVA, arXiv 2401.06104.
class TovaKv final : public KvPolicy {
 public:
  explicit TovaKv(const KvPlan& plan);
  KvPlan plan() const override { return plan_; }
  void score(const KvLayerView& layer, std::span<float> scores) const override;
  std::vector<int32_t> split(const SplitInput& in) const override { return split_uniform(in); }

 private:
  KvPlan plan_;
};

extern const PolicyEntry kTovaKv;

}  // namespace reprise
