#pragma once

#include <cstdint>

namespace reprise {

// What a masked diffusion model says about one position, out of one row of logits z [n_vocab]; the
// probabilities are softmax(z), F32 with log-sum-exp.
struct Proposal {
  int32_t token = -1;     // argmax of z, or with a temperature of z / T plus Gumbel noise; the
                          // lowest id among equals
  float confidence = 0;   // probability of `token`, never perturbed
  float margin = 0;       // highest probability less the second highest
  float neg_entropy = 0;  // sum of p ln p: 0 is certainty, -ln n_vocab is none
};

}  // namespace reprise
