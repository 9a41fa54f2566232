#pragma once

#include "policies/kv/indicator.h"
#include "policies/registry.h"

namespace reprise {

struct CakeConfig {
  enum class Split : uint8_t { kWaterfill, kOfficial, kUniform, kPyramid };
  double tau1 = 1;  // P = H^(1/tau1) * V^(1/tau2)
  double tau2 = 1;
  Indicator indicator = {.gamma = 200, .n_pool = 5};
  int32_t n_sink = 0;  // first candidates, always kept
  Split split = Split::kWaterfill;
  int32_t n_min = 0;  // candidates of a layer, at least, where cap and budget allow it
};

// Layers whose attention is dispersed and moves get more of one common budget; inside a layer the
// mean plus gamma times the variance of the window's attention ranks the entries. Source: CAKE,
// arXiv 2503.12491, and its code; waterfill, sinks and n_min are ours.
class CakeKv final : public KvPolicy {
 public:
  CakeKv(const KvPlan& plan, const CakeConfig& config);
  KvPlan plan() const override { return plan_; }
  // 0 when the window's rows are all equal; split() is then uniform.
  double preference(const KvLayerView& layer) const override;
  void score(const KvLayerView& layer, std::span<float> scores) const override;
  std::vector<int32_t> split(const SplitInput& in) const override;
  bool falls_back(std::span<const double> preference) const override;

 private:
  KvPlan plan_;
  CakeConfig config_;
};

extern const PolicyEntry kCakeKv;

}  // namespace reprise
