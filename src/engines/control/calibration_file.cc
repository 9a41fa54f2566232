#include "engines/control/calibration_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/gguf_file.h"
#include "core/printable.h"
#include "core/shell_word.h"
#include "engines/control/step_pairs.h"
#include "gguf.h"

namespace reprise {
namespace {

constexpr const char* kArchitecture = "branch-calibration";
constexpr const char* kHash = "branch.model_hash";
constexpr const char* kSampler = "branch.sampler";
constexpr const char* kTimesteps = "branch.timesteps";
constexpr const char* kLayers = "branch.n_layers";
constexpr const char* kCalls = "branch.n_calls";
constexpr const char* kSeeds = "branch.seeds";
constexpr const char* kVolatility = "branch.volatility";

std::string tensor_name(BranchMetric metric) {
  return fmt::format("similarity.{}", to_string(metric));
}

// An Error that names the command already.
class Refusal final : public Error {
  using Error::Error;
};

// Everything that a message about one file needs.
struct Place {
  const std::string& path;
  const CalibrationSubject& subject;
  CalibrationUse use = {};

  // Ends a message about a file that is there. One that the user named may be good for another
  // sampler, or be no calibration at all: it is not to be overwritten.
  std::string advice() const {
    return fmt::format("{}: {}", use.is_named ? "leave file= out and run" : "make it anew",
                       subject.command(wanted()));
  }
  // Makes this very file.
  std::string command(std::span<const BranchMetric> metrics) const {
    return subject.command(metrics, use.is_named ? path : "");
  }
  std::span<const BranchMetric> wanted() const {
    return use.metric ? std::span(&*use.metric, 1) : std::span<const BranchMetric>();
  }
  [[noreturn]] void fail(const std::string& what) const {
    throw Refusal(fmt::format("{}: {}; {}", path, what, advice()));
  }
};

bool is_measurable(BranchMetric metric, bool is_same_step, float value) {
  if (!std::isfinite(value)) return false;
  if (!is_distance(metric)) return value >= -1 && value <= 1;
  return is_same_step ? value == 0 : value >= 0;
}

void check_pairs(const Place& place, BranchMetric metric, const StepPairs& pairs,
                 std::span<const float> values) {
  const auto n_branches = static_cast<int32_t>(values.size() / pairs.size());
  size_t at = 0;
  for (int32_t b = 0; b < n_branches; ++b) {
    for (int32_t i = 0; i < pairs.n_steps; ++i) {
      for (int32_t j = i; j < pairs.n_steps; ++j, ++at) {
        if (is_measurable(metric, i == j, values[at])) continue;
        place.fail(fmt::format("the {} of steps {} and {} of {} is {}", to_string(metric), i, j,
                               place.subject.shape().name_of(b), values[at]));
      }
    }
  }
}

void check_counts(const Place& place, const CalibrationRecord& record) {
  const auto n_seeds = static_cast<int64_t>(record.seeds.size());
  if (record.n_calls < 1 || n_seeds < 1 || n_seeds > record.n_calls) {
    place.fail(
        fmt::format("{} calls from {} seeds; there is one call and one seed at least, and "
                    "no more seeds than calls",
                    record.n_calls, n_seeds));
  }
  const std::vector<double>& volatility = record.calibration.volatility;
  const int32_t n_branches = record.subject.shape().n_branches();
  if (std::ssize(volatility) != n_branches) {
    place.fail(fmt::format("{} volatilities of {} branches", volatility.size(), n_branches));
  }
  for (int32_t b = 0; b < n_branches; ++b) {
    const double value = volatility[static_cast<size_t>(b)];
    if (!std::isfinite(value) || value < 0) {
      place.fail(
          fmt::format("the volatility of {} is {}", record.subject.shape().name_of(b), value));
    }
  }
  if (record.calibration.similarity.empty()) place.fail("it holds no similarity");
}

// [n_branches][K][K] -> [n_branches][pairs]
std::vector<float> packed(const StepPairs& pairs, std::span<const float> matrices) {
  const auto n = static_cast<size_t>(pairs.n_steps);
  std::vector<float> out;
  for (size_t row = 0; row < matrices.size(); row += n) {
    const size_t i = row / n % n;
    const std::span<const float> upper = matrices.subspan(row + i, n - i);
    out.insert(out.end(), upper.begin(), upper.end());
  }
  return out;
}

// [n_branches][pairs] -> [n_branches][K][K]
std::vector<float> unpacked(const StepPairs& pairs, std::span<const float> triangles) {
  const auto n = static_cast<size_t>(pairs.n_steps);
  std::vector<float> out;
  out.reserve(triangles.size() / pairs.size() * n * n);
  for (size_t first = 0; first < triangles.size(); first += pairs.size()) {
    for (int32_t i = 0; i < pairs.n_steps; ++i) {
      for (int32_t j = 0; j < pairs.n_steps; ++j) {
        out.push_back(triangles[first + pairs.at(std::min(i, j), std::max(i, j))]);
      }
    }
  }
  return out;
}

// The file's bytes: header, then the tensors where the header says they are.
std::vector<std::byte> as_gguf(const CalibrationRecord& record,
                               const std::map<BranchMetric, std::vector<float>>& triangles) {
  const std::unique_ptr<gguf_context, decltype(&gguf_free)> gguf(gguf_init_empty(), gguf_free);
  const CalibrationSubject& subject = record.subject;
  gguf_set_val_str(gguf.get(), "general.architecture", kArchitecture);
  gguf_set_val_str(gguf.get(), kHash, subject.model_hash.c_str());
  gguf_set_val_str(gguf.get(), kSampler, subject.sampler.c_str());
  gguf_set_arr_data(gguf.get(), kTimesteps, GGUF_TYPE_INT32, subject.timesteps.data(),
                    subject.timesteps.size());
  gguf_set_val_i32(gguf.get(), kLayers, subject.n_layers);
  gguf_set_val_i32(gguf.get(), kCalls, record.n_calls);
  // As signed ones: the reader takes integers of 64 bits so.
  gguf_set_arr_data(gguf.get(), kSeeds, GGUF_TYPE_INT64, record.seeds.data(), record.seeds.size());
  gguf_set_arr_data(gguf.get(), kVolatility, GGUF_TYPE_FLOAT64,
                    record.calibration.volatility.data(), record.calibration.volatility.size());
  ggml_init_params params{};
  params.mem_size = ggml_tensor_overhead() * triangles.size();
  params.no_alloc = true;
  const std::unique_ptr<ggml_context, decltype(&ggml_free)> ctx(ggml_init(params), ggml_free);
  if (ctx == nullptr) throw Error("calibration: out of memory");
  const int64_t n_branches = subject.shape().n_branches();
  for (const auto& [metric, values] : triangles) {
    ggml_tensor* tensor =
        ggml_new_tensor_2d(ctx.get(), GGML_TYPE_F32, std::ssize(values) / n_branches, n_branches);
    ggml_set_name(tensor, tensor_name(metric).c_str());
    gguf_add_tensor(gguf.get(), tensor);
  }
  std::vector<std::byte> bytes(gguf_get_meta_size(gguf.get()));
  gguf_get_meta_data(gguf.get(), bytes.data());
  const size_t n_header = bytes.size();
  int64_t i_tensor = 0;
  for (const auto& [metric, values] : triangles) {
    const size_t at = n_header + gguf_get_tensor_offset(gguf.get(), i_tensor++);
    bytes.resize(at + values.size() * sizeof(float));
    std::memcpy(bytes.data() + at, values.data(), values.size() * sizeof(float));
  }
  return bytes;
}

// What the file says of `subject`, compared with it.
void check_subject(const Place& place, const GgufFile& file) {
  const CalibrationSubject& want = place.subject;
  if (const std::string& is = file.string("general.architecture"); is != kArchitecture) {
    place.fail(fmt::format("is a '{}', not a {}", printable(is), kArchitecture));
  }
  if (const std::string& is = file.string(kHash); is != want.model_hash) {
    place.fail(fmt::format("is of a model with hash {}, {} has {}", printable(is), want.model,
                           want.model_hash));
  }
  if (const std::string& is = file.string(kSampler); is != want.sampler) {
    place.fail(fmt::format("is of sampler {}, not {}", printable(is), want.sampler));
  }
  if (const int64_t is = file.integer(kLayers); is != want.n_layers) {
    place.fail(fmt::format("is of {} layers, {} has {}", is, want.model, want.n_layers));
  }
  const std::vector<int64_t>& timesteps = file.integers(kTimesteps);
  if (timesteps.size() != want.timesteps.size()) {
    place.fail(fmt::format("is of {} steps, the sampler takes {}", timesteps.size(),
                           want.timesteps.size()));
  }
  for (size_t k = 0; k < timesteps.size(); ++k) {
    if (timesteps[k] == want.timesteps[k]) continue;
    place.fail(fmt::format("step {} was measured at timestep {}, the sampler is at {}", k,
                           timesteps[k], want.timesteps[k]));
  }
}

std::vector<float> read_triangles(const Place& place, const GgufFile& file,
                                  const GgufTensor& tensor) {
  const BranchShape shape = place.subject.shape();
  const StepPairs pairs{shape.n_steps};
  const auto n_pairs = static_cast<int64_t>(pairs.size());
  if (tensor.type != GGML_TYPE_F32 || tensor.ne[0] != n_pairs ||
      tensor.ne[1] != shape.n_branches() || tensor.ne[2] != 1 || tensor.ne[3] != 1) {
    place.fail(fmt::format("tensor '{}' is {} [{}, {}, {}, {}], not f32 [{}, {}, 1, 1]",
                           tensor.name, ggml_type_name(tensor.type), tensor.ne[0], tensor.ne[1],
                           tensor.ne[2], tensor.ne[3], n_pairs, shape.n_branches()));
  }
  std::vector<float> values(tensor.n_bytes / sizeof(float));
  std::memcpy(values.data(), file.data(tensor).data(), tensor.n_bytes);
  return values;
}

// That it holds what the caller needs.
void check_metric(const Place& place, const BranchCalibration& calibration) {
  if (!place.use.metric || calibration.similarity.contains(*place.use.metric)) return;
  std::vector<BranchMetric> metrics;
  std::vector<std::string_view> names;
  for (const auto& [metric, values] : calibration.similarity) {
    metrics.push_back(metric);
    names.push_back(to_string(metric));
  }
  metrics.push_back(*place.use.metric);
  throw Refusal(fmt::format("{}: holds {}, not {}; take metric={} or measure all of them: {}",
                            place.path, fmt::join(names, ", "), to_string(*place.use.metric),
                            names.front(), place.command(metrics)));
}

CalibrationRecord checked_record(const Place& place, const GgufFile& file) {
  check_subject(place, file);
  CalibrationRecord record{.subject = place.subject, .n_calls = 0, .seeds = {}, .calibration = {}};
  const int64_t n_calls = file.integer(kCalls);
  record.n_calls = n_calls == static_cast<int32_t>(n_calls) ? static_cast<int32_t>(n_calls) : 0;
  for (const int64_t seed : file.integers(kSeeds)) {
    record.seeds.push_back(static_cast<uint64_t>(seed));
  }
  const StepPairs pairs{place.subject.shape().n_steps};
  record.calibration.shape = place.subject.shape();
  record.calibration.volatility = file.reals(kVolatility);
  for (const BranchMetric metric : kBranchMetrics) {
    const GgufTensor* tensor = file.find(tensor_name(metric));
    if (tensor == nullptr) continue;
    const std::vector<float> triangles = read_triangles(place, file, *tensor);
    check_pairs(place, metric, pairs, triangles);
    record.calibration.similarity[metric] = unpacked(pairs, triangles);
  }
  check_counts(place, record);
  check_metric(place, record.calibration);
  return record;
}

}  // namespace

std::string CalibrationSubject::command(std::span<const BranchMetric> metrics,
                                        std::string_view output) const {
  std::string out =
      fmt::format("reprise calibrate {} --sampler {}", shell_word(model), shell_word(sampler));
  const bool is_default = metrics.size() == 1 && metrics[0] == BranchMetric::kCosine;
  for (const BranchMetric metric : is_default ? std::span<const BranchMetric>() : metrics)
    out += fmt::format(" --metric {}", to_string(metric));
  if (!output.empty()) out += fmt::format(" -o {}", shell_word(output));
  return out;
}

void write_calibration(const std::string& path, const CalibrationRecord& record) {
  const BranchShape shape = record.subject.shape();
  assert(record.calibration.shape == shape);
  const StepPairs pairs{shape.n_steps};
  const Place place{path, record.subject};
  check_counts(place, record);
  std::map<BranchMetric, std::vector<float>> triangles;
  for (const auto& [metric, matrices] : record.calibration.similarity) {
    assert(static_cast<int64_t>(matrices.size()) ==
           int64_t{shape.n_branches()} * shape.n_steps * shape.n_steps);
    triangles[metric] = packed(pairs, matrices);
    check_pairs(place, metric, pairs, triangles[metric]);
  }
  write_file(path, as_gguf(record, triangles));
}

CalibrationRecord read_calibration(const std::string& path, const CalibrationSubject& subject,
                                   const CalibrationUse& use) {
  const Place place{path, subject, use};
  try {
    return checked_record(place, GgufFile::open(path));
  } catch (const Refusal&) {
    throw;
  } catch (const Error& e) {  // of the reader of GGUF files
    std::error_code error;
    if (std::filesystem::exists(path, error))
      throw Error(fmt::format("{}; or {}", e.what(), place.advice()));
    throw Error(fmt::format("{}; make it: {}", e.what(), place.command(place.wanted())));
  }
}

}  // namespace reprise
