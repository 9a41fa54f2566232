#pragma once

#include "policies/registry.h"

namespace reprise {

// Keeps every entry.
class FullKv final : public KvPolicy {
 public:
  explicit FullKv(KvType type) : type_(type) {}
  KvPlan plan() const override { return {.type = type_, .budget = {}}; }
  void score(const KvLayerView& layer, std::span<float> scores) const override;
  std::vector<int32_t> split(const SplitInput& in) const override;

 private:
  KvType type_;
};

extern const PolicyEntry kFullKv;

}  // namespace reprise
