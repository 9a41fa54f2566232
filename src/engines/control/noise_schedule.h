#pragma once

#include <cstdint>
#include <vector>

#include "nets/policy_transformer_model.h"

namespace reprise {

// How much of the clean actions is left at every training timestep. Source: the squared cosine of
// Nichol and Dhariwal, arXiv 2102.09672, section 3.2, with betas of at most 0.999; rounded as the
// diffusers library rounds it (betas in F64, then F32; the product in F64, each partial one to
// F32).
struct NoiseSchedule {
  std::vector<float> acp;  // alphas' cumulative product by timestep, falling

  int32_t n_timesteps() const { return static_cast<int32_t>(acp.size()); }
};

// Throws Error on an unknown schedule and on a number of training steps outside 1..10000.
NoiseSchedule make_noise_schedule(const NoiseScheduleSpec& spec);

}  // namespace reprise
