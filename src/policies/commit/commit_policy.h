#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/kernels/proposal.h"
#include "core/split_mix.h"
#include "policies/policy.h"

namespace reprise {

// The masked positions in front of the span's end, in order, after one pass.
struct CommitView {
  std::span<const Proposal> rows = {};  // one a masked position, at least one
  int32_t budget = 0;                   // L: positions of the request
  int32_t n_span = 0;                   // positions of the span
  int32_t n_masked_at_start = 0;        // of rows at the span's first pass
  int32_t i_step = 0;                   // passes of this span before this one
  SplitMix64* rng = nullptr;            // the request's own
};

// Decides which proposals of a pass become text.
class CommitPolicy : public Policy {
 public:
  // Whether budget and spans (fixed_length, 0: not known beforehand) suit the rule. Throws Error.
  virtual void check(int32_t /*budget*/, int32_t /*fixed_length*/) const {}
  // Whether it judges what temperature and filters leave of a distribution, not the distribution.
  virtual bool judges_filtered() const { return false; }
  // Writes the indices of the chosen rows, rising; at least one but with commit/dream, whose
  // schedule rounds down. Throws Error on a confidence that is not finite.
  virtual void choose(const CommitView& view, std::vector<int32_t>& chosen) const = 0;
};

}  // namespace reprise
