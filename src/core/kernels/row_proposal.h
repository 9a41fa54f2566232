#pragma once

#include <cstdint>

#include "core/kernels/proposal.h"

namespace reprise {

// How a row of logits becomes a proposal.
struct ProposalRule {
  int32_t forbidden = -1;  // an id without probability: the mask, which is no text
  int32_t also_forbidden = -1;
  float temperature = 0;  // 0: the most probable token; else one drawn at this temperature
  // What confidence, margin and entropy are of: the logits as they are (LLaDA), or what temperature
  // and filters leave of them, normalised anew (Dream).
  bool is_judged_filtered = false;
  float top_p = 1;    // 1: no filter
  int32_t top_k = 0;  // 0: no filter
};

// The proposal of logits [n_vocab]. `seed` decides what is drawn: the same for the same seed,
// whatever else is computed beside. Confidence is NaN where a logit is not finite. Source: LLaDA
// (arXiv 2502.09992), generate.py; Dream (arXiv 2508.15487), generation_utils.py; drawn by the
// Gumbel maximum, in the form z / T - ln(-ln u).
Proposal row_proposal(const float* logits, int32_t n_vocab, const ProposalRule& rule,
                      uint64_t seed);

}  // namespace reprise
