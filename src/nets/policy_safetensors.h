#pragma once

#include <string>

#include "nets/policy_file.h"

namespace reprise {

// A policy from a safetensors file with the names of the reference's state dict. Sizes stand in the
// tensors' shapes and, where none tells them, in the metadata: n_head, n_action_steps, of an
// encoder n_obs_steps. Throws Error as PolicyFile::read().
PolicyFile read_policy_safetensors(const std::string& path);

}  // namespace reprise
