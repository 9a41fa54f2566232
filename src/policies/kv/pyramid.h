#pragma once

#include "policies/kv/indicator.h"
#include "policies/registry.h"

namespace reprise {

// SnapKV's ranking with a budget that falls linearly from the first layer to the last. Source:
// PyramidKV, arXiv 2406.02069.
class PyramidKv final : public KvPolicy {
 public:
  PyramidKv(const KvPlan& plan, int32_t n_pool, double beta);
  KvPlan plan() const override { return plan_; }
  void score(const KvLayerView& layer, std::span<float> scores) const override;
  std::vector<int32_t> split(const SplitInput& in) const override {
    return split_pyramid(in, beta_);
  }

 private:
  KvPlan plan_;
  int32_t n_pool_;
  double beta_;
};

extern const PolicyEntry kPyramidKv;

}  // namespace reprise
