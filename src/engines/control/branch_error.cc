#include "engines/control/branch_error.h"

#include <cmath>

#include "engines/control/branch_recording.h"

namespace reprise {
namespace {

// ||a - b||^2 / ||b||^2
double relative_square(std::span<const float> a, std::span<const float> b) {
  double error = 0;
  double norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = static_cast<double>(a[i]) - b[i];
    error += difference * difference;
    norm += static_cast<double>(b[i]) * b[i];
  }
  return norm == 0 ? 0 : error / norm;
}

}  // namespace

double BranchErrors::at_updates(int32_t b, const BranchSchedule& schedule) const {
  double squares = 0;
  int32_t n = 0;
  for (const int32_t k : schedule.steps_of(b)) {
    if (k == 0) continue;
    squares += at(b, k) * at(b, k);
    ++n;
  }
  return n == 0 ? 0 : std::sqrt(squares / n);
}

BranchErrors branch_errors(const std::shared_ptr<const PolicyTransformerModel>& model,
                           const Backend& backend, const SamplerSpec& sampler,
                           const BranchSchedule& schedule,
                           std::span<const std::vector<float>> observations, uint64_t first_seed) {
  const BranchShape shape = schedule.shape();
  DiffusionPolicy full(model, backend, sampler, BranchSchedule(shape, true));
  DiffusionPolicy reusing(model, backend, sampler, schedule);
  const int32_t n_values = model->hparams.n_rows() * model->hparams.n_embd;
  BranchRecording exact(shape, n_values);
  BranchRecording used(shape, n_values);
  BranchErrors errors{shape,
                      std::vector<double>(static_cast<size_t>(shape.n_branches()) * shape.n_steps)};
  for (size_t i = 0; i < observations.size(); ++i) {
    const ChunkRequest request = {.obs = observations[i], .seed = first_seed + i};
    exact.record(full, request);
    used.record(reusing, request);
    for (int32_t b = 0; b < shape.n_branches(); ++b) {
      for (int32_t k = 0; k < shape.n_steps; ++k) {
        errors.relative[static_cast<size_t>(b) * shape.n_steps + k] +=
            relative_square(used.output(b, k), exact.output(b, k));
      }
    }
  }
  for (double& value : errors.relative) {
    value = observations.empty() ? 0 : std::sqrt(value / static_cast<double>(observations.size()));
  }
  return errors;
}

}  // namespace reprise
