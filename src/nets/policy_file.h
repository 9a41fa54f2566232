#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace reprise {

// Sizes of a transformer diffusion policy. Source: Diffusion Policy (arXiv 2303.04137),
// TransformerForDiffusion; symbols of the paper behind.
struct PolicyHparams {
  int32_t n_layer = 0;
  int32_t n_head = 0;
  int32_t n_embd = 0;
  int32_t n_horizon = 0;       // Tp, actions predicted
  int32_t n_obs_steps = 0;     // To, observations seen
  int32_t n_action_steps = 0;  // Ta, actions executed
  int32_t n_obs = 0;           // Do, values of an observation
  int32_t n_action = 0;        // Da, values of an action
  bool is_causal = true;
  // False: a decoder, to whose layers time and observations are a memory. True: an encoder, to
  // which the time is a row before the others and the observations are values beside each row's
  // action (time_as_cond = false, no condition); those that are known are put there at every step.
  bool is_encoder_only = false;

  int32_t n_embd_head() const { return n_embd / n_head; }
  int32_t n_ff() const { return 4 * n_embd; }
  // Branches of a layer: self attention, cross attention in decoders, feed-forward.
  int32_t n_of_a_layer() const { return is_encoder_only ? 2 : 3; }
  int32_t n_branches() const { return n_of_a_layer() * n_layer; }
  // Rows of a robot inside the network, and values of each of the n_horizon rows that are denoised.
  int32_t n_rows() const { return is_encoder_only ? n_horizon + 1 : n_horizon; }
  int32_t n_channels() const { return is_encoder_only ? n_action + n_obs : n_action; }
  bool operator==(const PolicyHparams&) const = default;
};

// The noise that training added, as diffusers names it.
struct NoiseScheduleSpec {
  int32_t n_train_steps = 100;
  std::string beta_schedule = "squaredcos_cap_v2";
  std::string prediction = "epsilon";  // or "sample"
  bool clips_sample = true;
  bool operator==(const NoiseScheduleSpec&) const = default;
};

// Per channel: normalised = raw * scale + offset; min and max of the training set, raw.
struct AffineChannels {
  std::vector<float> scale;
  std::vector<float> offset;
  std::vector<float> min;
  std::vector<float> max;
};

// One tensor of a policy, turned into F32 without rounding.
struct PolicyTensor {
  std::string name;            // of the reference without "model.": decoder.layers.0.linear1.weight
  std::vector<int64_t> shape;  // PyTorch's order: [rows, columns]
  int32_t file_type = 0;       // ggml_type that it had
  std::vector<float> values;
};

// What a model file says, checked: every tensor that the sizes ask for, of its shape, and none
// besides; finite values; a normaliser that can be undone.
struct PolicyFile {
  std::string path;
  std::string name;
  std::string env;         // environment that it was trained in; "" when not said
  double control_hz = 10;  // actions a second
  PolicyHparams hparams;
  NoiseScheduleSpec noise;
  AffineChannels obs;
  AffineChannels action;
  std::vector<PolicyTensor> tensors;  // in the order of policy_tensor_shapes()

  // A GGUF file of architecture dp (tools/convert_policy.py), or a safetensors file with the names
  // of the reference's state dict and its sizes in the metadata. Throws Error: which file, key or
  // tensor, its numbers, and what to do.
  static PolicyFile read(const std::string& path);
  // Throws Error when there is no such tensor.
  const PolicyTensor& tensor(const std::string& tensor_name) const;
};

// 16 hexadecimal digits that stand for sizes, noise schedule, normaliser and the tensors' values in
// F32: the same for a file and what it was converted from, unless that rounded.
std::string policy_hash(const PolicyFile& file);

}  // namespace reprise
