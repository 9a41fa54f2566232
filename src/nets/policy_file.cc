#include "nets/policy_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>

#include "core/content_hash.h"
#include "core/error.h"
#include "core/gguf_file.h"
#include "core/printable.h"
#include "nets/policy_checks.h"
#include "nets/policy_safetensors.h"
#include "nets/policy_tensors.h"

namespace reprise {
namespace {

PolicyFile read_gguf(const std::string& path) {
  const GgufFile gguf = GgufFile::open(path);
  const std::string arch = gguf.string_or("general.architecture", "");
  if (arch != "dp") {
    throw Error(fmt::format(
        "{}: architecture '{}' is no robot policy; 'reprise run' takes language models, and "
        "'reprise control' policies such as pusht-demo",
        path, printable(arch)));
  }
  const auto size = [&](const std::string& key) {
    return narrow_size(path, key, gguf.integer(key));
  };
  PolicyFile file;
  file.path = path;
  file.name = gguf.string_or("general.name", "");
  file.env = gguf.string_or("dp.env", "");
  file.control_hz = gguf.real_or("dp.control_hz", 10);
  PolicyHparams& hp = file.hparams;
  check_policy_form(path, gguf.string_or("dp.arch", "transformer"));
  hp.n_layer = size("dp.n_layer");
  hp.n_head = size("dp.n_head");
  hp.n_embd = size("dp.n_emb");
  hp.n_horizon = size("dp.horizon");
  hp.n_obs_steps = size("dp.n_obs_steps");
  hp.n_action_steps = size("dp.n_action_steps");
  hp.n_obs = size("dp.obs_dim");
  hp.n_action = size("dp.action_dim");
  hp.is_causal = gguf.boolean_or("dp.causal", true);
  hp.is_encoder_only = gguf.boolean_or("dp.encoder_only", false);
  NoiseScheduleSpec& noise = file.noise;
  noise.n_train_steps =
      narrow_size(path, "dp.scheduler.train_steps", gguf.integer("dp.scheduler.train_steps"));
  noise.beta_schedule = gguf.string("dp.scheduler.beta_schedule");
  noise.prediction = gguf.string("dp.scheduler.prediction_type");
  noise.clips_sample = gguf.boolean("dp.scheduler.clip_sample");
  check_policy_sizes(path, hp);
  check_policy_noise(path, noise, gguf.string_or("dp.scheduler.variance_type", "fixed_small"));
  check_control_rate(path, file.control_hz);
  RawTensors tensors;
  for (const GgufTensor& tensor : gguf.tensors()) {
    std::vector<int64_t> shape(std::begin(tensor.ne), std::end(tensor.ne));
    std::ranges::reverse(shape);
    std::erase(shape, 1);  // those that fill the four of ggml up
    add_tensor(path, tensor.name, {tensor.type, std::move(shape), gguf.data(tensor)}, tensors);
  }
  take_tensors(file, std::move(tensors));
  return file;
}

}  // namespace

PolicyFile PolicyFile::read(const std::string& path) {
  return path.ends_with(".safetensors") ? read_policy_safetensors(path) : read_gguf(path);
}

const PolicyTensor& PolicyFile::tensor(const std::string& tensor_name) const {
  const auto found = std::ranges::find(tensors, tensor_name, &PolicyTensor::name);
  if (found == tensors.end())
    throw Error(fmt::format("{}: tensor '{}' is missing; {}", path, tensor_name, kConvertPolicy));
  return *found;
}

std::string policy_hash(const PolicyFile& file) {
  const PolicyHparams& hp = file.hparams;
  const NoiseScheduleSpec& noise = file.noise;
  ContentHash hash;
  const auto add_text = [&](std::string_view text) { hash.add(std::as_bytes(std::span(text))); };
  const auto add = [&](std::string_view name, std::span<const float> values) {
    add_text(fmt::format("{}[{}]", name, values.size()));
    hash.add(std::as_bytes(values));
  };
  add_text(fmt::format("{} {} {} {} {} {} {} {} {}; {} {} {} {};", hp.n_layer, hp.n_head, hp.n_embd,
                       hp.n_horizon, hp.n_obs_steps, hp.n_action_steps, hp.n_obs, hp.n_action,
                       hp.is_causal, noise.n_train_steps, noise.beta_schedule, noise.prediction,
                       noise.clips_sample));
  if (hp.is_encoder_only) add_text("encoder;");
  for (const auto& [kind, channels] : {std::pair("obs", &file.obs), {"action", &file.action}}) {
    add(kind, channels->scale);
    add(kind, channels->offset);
  }
  for (const PolicyTensor& tensor : file.tensors) add(tensor.name, tensor.values);
  return hash.hex();
}

}  // namespace reprise
