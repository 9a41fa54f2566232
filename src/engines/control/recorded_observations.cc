#include "engines/control/recorded_observations.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/printable.h"
#include "core/safetensors_file.h"

namespace reprise {
namespace {

constexpr std::string_view kTensor = "obs";

const SafetensorsTensor& find_tensor(const SafetensorsFile& file) {
  if (const SafetensorsTensor* tensor = file.find(kTensor)) return *tensor;
  constexpr size_t kMostShown = 8;
  std::vector<std::string> names;
  for (const SafetensorsTensor& tensor : file.tensors()) {
    if (names.size() < kMostShown) names.push_back(printable(tensor.name));
  }
  throw Error(fmt::format("{}: has no tensor '{}', but {}; name the observations so", file.path(),
                          kTensor,
                          names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "))));
}

}  // namespace

std::vector<std::vector<float>> read_observations(const std::string& path,
                                                  const PolicyHparams& hparams, int32_t n,
                                                  std::string_view flag) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  const SafetensorsTensor& tensor = find_tensor(file);
  if (tensor.type != GGML_TYPE_F32) {
    throw Error(
        fmt::format("{}: '{}' is {}; save it in F32", path, kTensor, ggml_type_name(tensor.type)));
  }
  if (tensor.shape.size() != 3 || tensor.shape[1] != hparams.n_obs_steps ||
      tensor.shape[2] != hparams.n_obs) {
    throw Error(
        fmt::format("{}: '{}' is [{}], the policy sees [n, {}, {}]: for each of n moments the last "
                    "{} observations of {} numbers, the oldest first",
                    path, kTensor, fmt::join(tensor.shape, ", "), hparams.n_obs_steps,
                    hparams.n_obs, hparams.n_obs_steps, hparams.n_obs));
  }
  const int64_t n_recorded = tensor.shape[0];
  if (n_recorded < n) {
    throw Error(
        fmt::format("{}: '{}' holds {} observations, {} {} needs one each; record more{}", path,
                    kTensor, n_recorded, flag, n,
                    n_recorded > 0 ? fmt::format(", or give {} {}", flag, n_recorded) : ""));
  }
  std::vector<float> values(tensor.n_bytes / sizeof(float));
  std::memcpy(values.data(), file.data(tensor).data(), tensor.n_bytes);
  const int64_t n_values = int64_t{hparams.n_obs_steps} * hparams.n_obs;
  const auto bad = std::ranges::find_if(values, [](float value) { return !std::isfinite(value); });
  if (bad != values.end()) {
    const int64_t at = bad - values.begin();
    throw Error(fmt::format("{}: '{}' has {} as number {} of observation {}; leave it out", path,
                            kTensor, *bad, at % n_values, at / n_values));
  }
  std::vector<std::vector<float>> observations;
  for (int64_t i = 0; i < n; ++i) {
    const auto first = values.begin() + i * n_recorded / n * n_values;
    observations.emplace_back(first, first + n_values);
  }
  return observations;
}

}  // namespace reprise
