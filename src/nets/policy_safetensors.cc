#include "nets/policy_safetensors.h"

#include <fmt/format.h>

#include <charconv>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/printable.h"
#include "core/safetensors_file.h"
#include "nets/policy_checks.h"
#include "nets/policy_names.h"
#include "nets/policy_tensors.h"

namespace reprise {
namespace {

// Sizes that the tensors' shapes tell: all but n_obs_steps of an encoder.
void sizes_from_shapes(const std::string& path, const RawTensors& tensors, PolicyHparams& hp) {
  const auto shape = [&](const char* name, size_t n_dims) {
    const auto found = tensors.find(name);
    if (found == tensors.end() || found->second.shape.size() != n_dims) {
      throw Error(fmt::format(
          "{}: tensor '{}' with {} dimensions is missing: is no transformer policy with the "
          "names of TransformerForDiffusion's state dict, or its form without conditions",
          path, name, n_dims));
    }
    return found->second.shape;
  };
  const std::vector<int64_t> input = shape("input_emb.weight", 2);
  hp.n_embd = narrow_size(path, "input_emb.weight", input[0]);
  hp.is_encoder_only = tensors.contains("encoder.layers.0.linear1.weight") &&
                       !tensors.contains("decoder.layers.0.linear1.weight");
  if (hp.is_encoder_only) {
    hp.n_action = narrow_size(path, "norm.action.scale", shape("norm.action.scale", 1)[0]);
    hp.n_obs = narrow_size(path, "input_emb.weight", input[1] - hp.n_action);
    hp.n_horizon = narrow_size(path, "pos_emb", shape("pos_emb", 3)[1] - 1);
  } else {
    hp.n_action = narrow_size(path, "input_emb.weight", input[1]);
    hp.n_obs = narrow_size(path, "cond_obs_emb.weight", shape("cond_obs_emb.weight", 2)[1]);
    hp.n_horizon = narrow_size(path, "pos_emb", shape("pos_emb", 3)[1]);
    hp.n_obs_steps = narrow_size(path, "cond_pos_emb", shape("cond_pos_emb", 3)[1] - 1);
  }
  while (tensors.contains(layer_tensor(hp, hp.n_layer, "linear1.weight"))) ++hp.n_layer;
}

// Metadata of safetensors are texts.
class TextMetadata {
 public:
  explicit TextMetadata(const SafetensorsFile& file) : file_(file) {}

  std::string text(const std::string& key, std::string_view fallback) const {
    const auto found = file_.metadata().find(key);
    return found == file_.metadata().end() ? std::string(fallback) : found->second;
  }
  int32_t integer(const std::string& key) const {
    const auto found = file_.metadata().find(key);
    if (found == file_.metadata().end()) {
      throw Error(fmt::format("{}: the metadata have no '{}', which no tensor tells; add it, or {}",
                              file_.path(), key, kConvertPolicy));
    }
    int32_t value = 0;
    const std::string& text = found->second;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) fail(key, text, "an integer");
    return value;
  }
  bool boolean(const std::string& key, bool fallback) const {
    const std::string value = text(key, fallback ? "true" : "false");
    if (value == "true" || value == "True" || value == "1") return true;
    if (value == "false" || value == "False" || value == "0") return false;
    fail(key, value, "true or false");
  }
  double real(const std::string& key, double fallback) const {
    const auto found = file_.metadata().find(key);
    if (found == file_.metadata().end()) return fallback;
    double value = 0;
    const std::string& text = found->second;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) fail(key, text, "a number");
    return value;
  }

  void expect(const std::string& key, int32_t value) const {
    if (file_.metadata().contains(key) && integer(key) != value) {
      throw Error(fmt::format("{}: the metadata say {} = {}, the tensors {}; {}", file_.path(), key,
                              integer(key), value, kConvertPolicy));
    }
  }

 private:
  [[noreturn]] void fail(const std::string& key, const std::string& value,
                         const char* wanted) const {
    throw Error(fmt::format("{}: '{}' of the metadata is '{}', expected {}", file_.path(), key,
                            printable(value), wanted));
  }

  const SafetensorsFile& file_;
};

}  // namespace

PolicyFile read_policy_safetensors(const std::string& path) {
  const SafetensorsFile safetensors = SafetensorsFile::open(path);
  RawTensors tensors;
  for (const SafetensorsTensor& tensor : safetensors.tensors()) {
    add_tensor(path, tensor.name, {tensor.type, tensor.shape, safetensors.data(tensor)}, tensors);
  }
  const TextMetadata metadata(safetensors);
  PolicyFile file;
  file.path = path;
  file.name = metadata.text("name", "");
  file.env = metadata.text("env", "");
  file.control_hz = metadata.real("control_hz", 10);
  check_control_rate(path, file.control_hz);
  sizes_from_shapes(path, tensors, file.hparams);
  PolicyHparams& hp = file.hparams;
  if (hp.is_encoder_only) hp.n_obs_steps = metadata.integer("n_obs_steps");
  hp.n_head = metadata.integer("n_head");
  hp.n_action_steps = metadata.integer("n_action_steps");
  hp.is_causal = metadata.boolean("causal_attn", true);
  metadata.expect("n_layer", hp.n_layer);
  metadata.expect("n_emb", hp.n_embd);
  metadata.expect("horizon", hp.n_horizon);
  metadata.expect("n_obs_steps", hp.n_obs_steps);
  NoiseScheduleSpec& noise = file.noise;
  if (safetensors.metadata().contains("num_train_timesteps"))
    noise.n_train_steps = metadata.integer("num_train_timesteps");
  noise.beta_schedule = metadata.text("beta_schedule", noise.beta_schedule);
  noise.prediction = metadata.text("prediction_type", noise.prediction);
  noise.clips_sample = metadata.boolean("clip_sample", noise.clips_sample);
  check_policy_slice(path, metadata.boolean("pred_action_steps_only", false));
  check_policy_sizes(path, hp);
  check_policy_noise(path, noise, metadata.text("variance_type", "fixed_small"));
  take_tensors(file, std::move(tensors));
  return file;
}

}  // namespace reprise
