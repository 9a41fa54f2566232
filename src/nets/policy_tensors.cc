#include "nets/policy_tensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "core/error.h"
#include "core/printable.h"
#include "nets/policy_names.h"

namespace reprise {
namespace {

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
                            wanted.name, fmt::join(wanted.shape, ", "), kConvertPolicy));
  }
  const RawTensor& raw = found->second;
  if (!can_read(raw.type)) {
    throw Error(fmt::format("{}: tensor '{}' is {}; F32, F16, BF16 and Q8_0 are read; {}", path,
                            wanted.name, ggml_type_name(raw.type), kConvertPolicy));
  }
  if (without_ones(raw.shape) != without_ones(wanted.shape)) {
    throw Error(fmt::format("{}: tensor '{}' is [{}], the sizes ask for [{}]; {}", path,
                            wanted.name, fmt::join(raw.shape, ", "), fmt::join(wanted.shape, ", "),
                            kConvertPolicy));
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
                              path, kind, channels.scale[i], i, kConvertPolicy));
    }
    if (channels.min[i] > channels.max[i]) {
      throw Error(fmt::format("{}: norm.{} of channel {} runs from {} to {}; {}", path, kind, i,
                              channels.min[i], channels.max[i], kConvertPolicy));
    }
  }
  return channels;
}

// Before what such a policy lacks is missed.
void refuse_condition_layers(const std::string& path, const PolicyHparams& hp,
                             const RawTensors& tensors) {
  if (hp.is_encoder_only) return;
  for (const auto& [name, tensor] : tensors) {
    if (!name.starts_with("encoder.layers.")) continue;
    throw Error(
        fmt::format("{}: tensor '{}': a transformer over the conditions (n_cond_layers) is not "
                    "built in; take a policy with n_cond_layers = 0",
                    path, printable(name)));
  }
}

void refuse_rest(const std::string& path, const RawTensors& rest) {
  if (rest.empty()) return;
  throw Error(fmt::format("{}: tensor '{}' has no place in a transformer policy; {}", path,
                          printable(rest.begin()->first), kConvertPolicy));
}

}  // namespace

void add_tensor(const std::string& path, std::string_view name, RawTensor tensor,
                RawTensors& tensors) {
  std::string own = own_policy_name(name);
  if (is_unread_policy_tensor(own)) return;
  if (!tensors.emplace(std::move(own), std::move(tensor)).second) {
    throw Error(fmt::format("{}: tensor '{}' is there with and without 'model.'; save one", path,
                            printable(name)));
  }
}

void take_tensors(PolicyFile& file, RawTensors tensors) {
  refuse_condition_layers(file.path, file.hparams, tensors);
  for (const NamedShape& wanted : policy_tensor_shapes(file.hparams)) {
    PolicyTensor tensor{wanted.name, wanted.shape, 0, {}};
    tensor.values = take(file.path, tensors, wanted, &tensor.file_type);
    file.tensors.push_back(std::move(tensor));
  }
  file.obs = take_channels(file.path, tensors, "obs", file.hparams.n_obs);
  file.action = take_channels(file.path, tensors, "action", file.hparams.n_action);
  refuse_rest(file.path, tensors);
}

int32_t narrow_size(const std::string& path, const std::string& key, int64_t value) {
  if (value < 0 || value > INT32_MAX)
    throw Error(fmt::format("{}: {} is {}; {}", path, key, value, kConvertPolicy));
  return static_cast<int32_t>(value);
}

}  // namespace reprise
