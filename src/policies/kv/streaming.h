#pragma once

#include "policies/registry.h"

namespace reprise {

// Keeps the first entries and the most recent ones, whatever they say. Source: StreamingLLM, arXiv
// 2309.17453.
class StreamingKv final : public KvPolicy {
 public:
  StreamingKv(const KvPlan& plan, int32_t n_sink) : plan_(plan), n_sink_(n_sink) {}
  KvPlan plan() const override { return plan_; }
  void score(const KvLayerView& layer, std::span<float> scores) const override;
  std::vector<int32_t> split(const SplitInput& in) const override { return split_uniform(in); }

 private:
  KvPlan plan_;
  int32_t n_sink_;
};

extern const PolicyEntry kStreamingKv;

}  // namespace reprise
