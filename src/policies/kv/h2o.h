#pragma once

#include "policies/registry.h"

namespace reprise {

// Keeps the entries that gathered most attention over all queries of the prompt, beside the recent
// ones. Source: H2O, arXiv 2306.14048.
class H2oKv final : public KvPolicy {
 public:
  explicit H2oKv(const KvPlan& plan);
  KvPlan plan() const override { return plan_; }
  void score(const KvLayerView& layer, std::span<float> scores) const override;
  std::vector<int32_t> split(const SplitInput& in) const override { return split_uniform(in); }

 private:
  KvPlan plan_;
};

extern const PolicyEntry kH2oKv;

}  // namespace reprise
