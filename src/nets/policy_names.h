#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "nets/policy_file.h"

namespace reprise {

// A name of the reference's state dict as ours: "model.pos_emb" is pos_emb, and
// "normalizer.params_dict.obs.input_stats.min" norm.obs.min. Others stay as they are.
std::string own_policy_name(std::string_view name);

// Whether a tensor of this own name is in a checkpoint of the reference for nothing that is
// computed here: masks; `_dummy_variable`, by which a module knows its device (the policy, its
// network and its mask generator have one each, without a value); mean and std of the normaliser.
bool is_unread_policy_tensor(std::string_view own_name);

struct NamedShape {
  std::string name;
  std::vector<int64_t> shape;
};
// decoder.layers.0.linear1.weight, or encoder.layers... of an encoder.
std::string layer_tensor(const PolicyHparams& hparams, int32_t il, std::string_view name);

// Every tensor of the network, without the normaliser, in the order of computation.
std::vector<NamedShape> policy_tensor_shapes(const PolicyHparams& hparams);

}  // namespace reprise
