#pragma once

#include <cstdint>
#include <vector>

#include "engines/control/diffusion_policy.h"

namespace reprise {

// pusht_observations() with a progress bar. Throws Interrupted after Ctrl-C.
std::vector<std::vector<float>> observe_pusht(DiffusionPolicy& policy, uint32_t first_seed,
                                              int32_t n, int32_t n_spread);

}  // namespace reprise
