#pragma once

#include <string>

namespace reprise {

// Whether the file at `path` is a robot policy: GGUF of architecture dp, or safetensors. False too
// for what cannot be read, which then says so as a language model.
bool is_robot_policy(const std::string& path);

// `reprise info` of one: network, observations, actions, noise, normaliser, weights. Throws Error.
void print_policy_info(const std::string& path, bool is_json);

}  // namespace reprise
