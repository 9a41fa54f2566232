#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "nets/policy_file.h"

namespace reprise {

// Observations that a user recorded on a robot or in an environment that is not here: tensor `obs`
// of a safetensors file, F32 [n_recorded][n_obs_steps][n_obs], in the robot's units. Returns n of
// them, spread evenly over the file, each [n_obs_steps][n_obs]. `flag` asked for n and stands in
// errors. Throws Error: no such file or tensor, another type or shape, a number that is not finite,
// fewer than n.
std::vector<std::vector<float>> read_observations(const std::string& path,
                                                  const PolicyHparams& hparams, int32_t n,
                                                  std::string_view flag);

}  // namespace reprise
