#pragma once

#include "policies/registry.h"

namespace reprise {

struct DreamConfig {
  enum class Alg : uint8_t {
    kEntropy,      // highest sum of p ln p: the sharpest distribution
    kMaskgitPlus,  // highest probability
    kTopkMargin,   // largest lead over the second
    kOrigin,       // each position by lot
  } alg = Alg::kEntropy;
  int32_t steps = 0;    // passes; 0: one a position of the budget
  double eps = 1e-3;    // noise level at which the schedule ends
  double alg_temp = 0;  // above 0: positions are drawn by softmax(score / alg_temp)
};

// Dream's schedule over the whole text: the noise level falls from 1 to eps in equal steps, and
// pass k commits int(masked * (1 - tau_{k+1} / tau_k)) positions, the last pass all. Rounded down,
// the first passes may commit none. Source: Dream 7B, arXiv 2508.15487, and its published
// generation code.
class DreamCommit final : public CommitPolicy {
 public:
  explicit DreamCommit(const DreamConfig& config) : config_(config) {}
  // One span: the schedule knows no others.
  void check(int32_t budget, int32_t fixed_length) const override;
  bool judges_filtered() const override { return true; }
  void choose(const CommitView& view, std::vector<int32_t>& chosen) const override;

 private:
  DreamConfig config_;
};

extern const PolicyEntry kDreamCommit;

}  // namespace reprise
