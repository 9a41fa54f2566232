#include "nets/policy_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <span>
#include <string_view>
#include <utility>

#include "core/content_hash.h"
#include "core/error.h"
#include "core/gguf_file.h"
#include "core/printable.h"
#include "core/safetensors_file.h"
#include "nets/policy_checks.h"

namespace reprise {
namespace {

constexpr std::string_view kConvert = "convert the model again with tools/convert_policy.py";

// Where a tensor's bytes lie.
struct RawTensor {
  ggml_type type = GGML_TYPE_F32;
  std::vector<int64_t> shape;  // PyTorch's order
  std::span<const std::byte> bytes;
};
using RawTensors = std::map<std::string, RawTensor>;

bool can_read(ggml_type type) {
  return type == GGML_TYPE_F32 || type == GGML_TYPE_F16 || type == GGML_TYPE_BF16 ||
         type == GGML_TYPE_Q8_0;
}

int64_t n_values(std::span<const int64_t> shape) {
  int64_t n = 1;
  for (const int64_t size : shape) n *= size;
  return n;
}

// Sizes of one are no dimension: [1, 16, 128] and [16, 128] are the same.
std::vector<int64_t> without_ones(std::vector<int64_t> shape) {
  std::erase(shape, 1);
  return shape;
}

std::vector<float> take(const std::string& path, RawTensors& tensors, const NamedShape& wanted,
                        int32_t* file_type = nullptr) {
  const auto found = tensors.find(wanted.name);
  if (found == tensors.end()) {
    throw Error(fmt::format("{}: tensor '{}' [{}] is missing; fetch the model again, or {}", path,
                            wanted.name, fmt::join(wanted.shape, ", "), kConvert));
  }
  const RawTensor& raw = found->second;
  if (!can_read(raw.type)) {
    throw Error(fmt::format("{}: tensor '{}' is {}; F32, F16, BF16 and Q8_0 are read; {}", path,
                            wanted.name, ggml_type_name(raw.type), kConvert));
  }
  if (without_ones(raw.shape) != without_ones(wanted.shape)) {
    throw Error(fmt::format("{}: tensor '{}' is [{}], the sizes ask for [{}]; {}", path,
                            wanted.name, fmt::join(raw.shape, ", "), fmt::join(wanted.shape, ", "),
                            kConvert));
  }
  std::vector<float> values(n_values(wanted.shape));
  if (raw.type == GGML_TYPE_F32) {
    std::memcpy(values.data(), raw.bytes.data(), raw.bytes.size());
  } else {
    // Safetensors begin their tensors anywhere.
    const std::vector<std::byte> aligned(raw.bytes.begin(), raw.bytes.end());
    ggml_get_type_traits(raw.type)->to_float(aligned.data(), values.data(),
                                             static_cast<int64_t>(values.size()));
  }
  const auto bad = std::ranges::find_if(values, [](float value) { return !std::isfinite(value); });
  if (bad != values.end()) {
    throw Error(fmt::format("{}: tensor '{}' has {} as value {}; fetch the model again", path,
                            wanted.name, *bad, bad - values.begin()));
  }
  if (file_type != nullptr) *file_type = raw.type;
  tensors.erase(found);
  return values;
}

AffineChannels take_channels(const std::string& path, RawTensors& tensors, const std::string& kind,
                             int64_t n) {
  const auto values = [&](const char* what) {
    return take(path, tensors, {fmt::format("norm.{}.{}", kind, what), {n}});
  };
  AffineChannels channels{values("scale"), values("offset"), values("min"), values("max")};
  for (int64_t i = 0; i < n; ++i) {
    if (channels.scale[i] == 0 || !std::isfinite(1 / channels.scale[i])) {
      throw Error(fmt::format("{}: norm.{}.scale is {} for channel {}, which cannot be undone; {}",
                              path, kind, channels.scale[i], i, kConvert));
    }
    if (channels.min[i] > channels.max[i]) {
      throw Error(fmt::format("{}: norm.{} of channel {} runs from {} to {}; {}", path, kind, i,
                              channels.min[i], channels.max[i], kConvert));
    }
  }
  return channels;
}

void refuse_rest(const std::string& path, const PolicyHparams& hp, const RawTensors& rest) {
  for (const auto& [name, tensor] : rest) {
    if (name == "mask" || name == "memory_mask" || name == "_dummy_variable") continue;
    if (!hp.is_encoder_only && name.starts_with("encoder.layers.")) {
      throw Error(
          fmt::format("{}: tensor '{}': a transformer over the conditions (n_cond_layers) is not "
                      "built in; take a policy with n_cond_layers = 0",
                      path, name));
    }
    throw Error(fmt::format("{}: tensor '{}' has no place in a transformer policy; {}", path,
                            printable(name), kConvert));
  }
}

void take_tensors(PolicyFile& file, RawTensors tensors) {
  for (const NamedShape& wanted : policy_tensor_shapes(file.hparams)) {
    PolicyTensor tensor{wanted.name, wanted.shape, 0, {}};
    tensor.values = take(file.path, tensors, wanted, &tensor.file_type);
    file.tensors.push_back(std::move(tensor));
  }
  file.obs = take_channels(file.path, tensors, "obs", file.hparams.n_obs);
  file.action = take_channels(file.path, tensors, "action", file.hparams.n_action);
  refuse_rest(file.path, file.hparams, tensors);
}

int32_t narrow(const std::string& path, const std::string& key, int64_t value) {
  if (value < 0 || value > INT32_MAX)
    throw Error(fmt::format("{}: {} is {}; {}", path, key, value, kConvert));
  return static_cast<int32_t>(value);
}

PolicyFile read_gguf(const std::string& path) {
  const GgufFile gguf = GgufFile::open(path);
  const std::string arch = gguf.string_or("general.architecture", "");
  if (arch != "dp") {
    throw Error(fmt::format(
        "{}: architecture '{}' is no robot policy; 'reprise run' takes language models, and "
        "'reprise control' policies such as pusht-demo",
        path, printable(arch)));
  }
  const auto size = [&](const std::string& key) { return narrow(path, key, gguf.integer(key)); };
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
      narrow(path, "dp.scheduler.train_steps", gguf.integer("dp.scheduler.train_steps"));
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
    tensors[tensor.name] = {tensor.type, without_ones(std::move(shape)), gguf.data(tensor)};
  }
  take_tensors(file, std::move(tensors));
  return file;
}

// Names of the reference's state dict as ours: without "model.", and the normaliser's shorter.
std::string own_name(const std::string& name) {
  constexpr std::string_view kModel = "model.";
  constexpr std::string_view kNormaliser = "normalizer.params_dict.";
  if (name.starts_with(kModel)) return name.substr(kModel.size());
  if (!name.starts_with(kNormaliser)) return name;
  const std::string own = "norm." + name.substr(kNormaliser.size());
  constexpr std::string_view kStatistics = ".input_stats.";
  const size_t at = own.find(kStatistics);
  if (at == std::string::npos) return own;
  return fmt::format("{}.{}", own.substr(0, at), own.substr(at + kStatistics.size()));
}

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
  hp.n_embd = narrow(path, "input_emb.weight", input[0]);
  hp.is_encoder_only = tensors.contains("encoder.layers.0.linear1.weight") &&
                       !tensors.contains("decoder.layers.0.linear1.weight");
  if (hp.is_encoder_only) {
    hp.n_action = narrow(path, "norm.action.scale", shape("norm.action.scale", 1)[0]);
    hp.n_obs = narrow(path, "input_emb.weight", input[1] - hp.n_action);
    hp.n_horizon = narrow(path, "pos_emb", shape("pos_emb", 3)[1] - 1);
  } else {
    hp.n_action = narrow(path, "input_emb.weight", input[1]);
    hp.n_obs = narrow(path, "cond_obs_emb.weight", shape("cond_obs_emb.weight", 2)[1]);
    hp.n_horizon = narrow(path, "pos_emb", shape("pos_emb", 3)[1]);
    hp.n_obs_steps = narrow(path, "cond_pos_emb", shape("cond_pos_emb", 3)[1] - 1);
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
                              file_.path(), key, kConvert));
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
                              integer(key), value, kConvert));
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

PolicyFile read_safetensors(const std::string& path) {
  const SafetensorsFile safetensors = SafetensorsFile::open(path);
  RawTensors tensors;
  for (const SafetensorsTensor& tensor : safetensors.tensors()) {
    const bool is_new = tensors
                            .emplace(own_name(tensor.name),
                                     RawTensor{tensor.type, tensor.shape, safetensors.data(tensor)})
                            .second;
    if (!is_new) {
      throw Error(fmt::format("{}: tensor '{}' is there with and without 'model.'; save one", path,
                              printable(tensor.name)));
    }
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
  check_policy_sizes(path, hp);
  check_policy_noise(path, noise, metadata.text("variance_type", "fixed_small"));
  take_tensors(file, std::move(tensors));
  return file;
}

}  // namespace

std::string layer_tensor(const PolicyHparams& hp, int32_t il, std::string_view name) {
  return fmt::format("{}.layers.{}.{}", hp.is_encoder_only ? "encoder" : "decoder", il, name);
}

std::vector<NamedShape> policy_tensor_shapes(const PolicyHparams& hp) {
  const int64_t d = hp.n_embd;
  const int64_t n_ff = hp.n_ff();
  std::vector<NamedShape> shapes;
  if (!hp.is_encoder_only) {
    shapes = {{"cond_obs_emb.weight", {d, hp.n_obs}},
              {"cond_obs_emb.bias", {d}},
              {"cond_pos_emb", {1, 1 + hp.n_obs_steps, d}},
              {"encoder.0.weight", {n_ff, d}},
              {"encoder.0.bias", {n_ff}},
              {"encoder.2.weight", {d, n_ff}},
              {"encoder.2.bias", {d}}};
  }
  shapes.push_back({"input_emb.weight", {d, hp.n_channels()}});
  shapes.push_back({"input_emb.bias", {d}});
  shapes.push_back({"pos_emb", {1, hp.n_rows(), d}});
  for (int32_t il = 0; il < hp.n_layer; ++il) {
    const auto add = [&](std::string_view name, std::vector<int64_t> shape) {
      shapes.push_back({layer_tensor(hp, il, name), std::move(shape)});
    };
    for (const char* attention : {"self_attn", "multihead_attn"}) {
      const std::string name = attention;
      const bool is_self = name == "self_attn";
      if (!is_self && hp.is_encoder_only) continue;
      add(is_self ? "norm1.weight" : "norm2.weight", {d});
      add(is_self ? "norm1.bias" : "norm2.bias", {d});
      add(name + ".in_proj_weight", {3 * d, d});
      add(name + ".in_proj_bias", {3 * d});
      add(name + ".out_proj.weight", {d, d});
      add(name + ".out_proj.bias", {d});
    }
    const std::string last_norm = fmt::format("norm{}", hp.n_of_a_layer());
    add(last_norm + ".weight", {d});
    add(last_norm + ".bias", {d});
    add("linear1.weight", {n_ff, d});
    add("linear1.bias", {n_ff});
    add("linear2.weight", {d, n_ff});
    add("linear2.bias", {d});
  }
  shapes.push_back({"ln_f.weight", {d}});
  shapes.push_back({"ln_f.bias", {d}});
  shapes.push_back({"head.weight", {hp.n_channels(), d}});
  shapes.push_back({"head.bias", {hp.n_channels()}});
  return shapes;
}

PolicyFile PolicyFile::read(const std::string& path) {
  return path.ends_with(".safetensors") ? read_safetensors(path) : read_gguf(path);
}

const PolicyTensor& PolicyFile::tensor(const std::string& tensor_name) const {
  const auto found = std::ranges::find(tensors, tensor_name, &PolicyTensor::name);
  if (found == tensors.end())
    throw Error(fmt::format("{}: tensor '{}' is missing; {}", path, tensor_name, kConvert));
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
