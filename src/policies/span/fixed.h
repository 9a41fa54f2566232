#pragma once

#include "policies/registry.h"

namespace reprise {

// Spans of one length, the last clipped by what is left.
class FixedSpanPlanner final : public SpanPlanner {
 public:
  explicit FixedSpanPlanner(int32_t n) : n_(n) {}  // >= 1
  int32_t reach(const SpanView& /*view*/) const override { return n_; }
  SpanPlan plan(const SpanView& view) override;

 private:
  int32_t n_;
};

// Fills spans of a constant length from left to right. Source: semi-autoregressive decoding, LLaDA,
// arXiv 2502.09992.
class FixedSpan final : public SpanPolicy {
 public:
  explicit FixedSpan(int32_t n) : n_(n) {}
  int32_t fixed_length(int32_t /*budget*/) const override { return n_; }
  std::unique_ptr<SpanPlanner> begin(const SpanRequest& request) const override;

 private:
  int32_t n_;
};

extern const PolicyEntry kFixedSpan;

}  // namespace reprise
