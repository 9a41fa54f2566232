#include "engines/control/calibrate.h"

#include <fmt/format.h>

#include "core/error.h"
#include "core/model_folders.h"
#include "core/pool_job.h"
#include "engines/control/branch_recording.h"
#include "engines/control/branch_similarity.h"

namespace reprise {

CalibrationSubject calibration_subject(const PolicyTransformerModel& model,
                                       const ActionSampler& sampler) {
  return {.model = name_or_path(model.name, model.path),
          .model_hash = model.hash,
          .sampler = sampler.spec().text(),
          .timesteps = {sampler.timesteps().begin(), sampler.timesteps().end()},
          .n_layers = model.hparams.n_layer,
          .n_of_a_layer = model.hparams.n_of_a_layer()};
}

MeasuredCalibration calibrate_branches(const std::shared_ptr<const PolicyTransformerModel>& model,
                                       const Backend& backend, const SamplerSpec& sampler,
                                       std::span<const std::vector<float>> observations,
                                       std::span<const uint64_t> seeds,
                                       std::span<const BranchMetric> metrics,
                                       const CalibrateEvents& events) {
  if (observations.empty() || observations.size() != seeds.size()) {
    throw Error(
        fmt::format("calibration: {} observations and {} seeds; give one seed for each of "
                    "at least one observation",
                    observations.size(), seeds.size()));
  }
  const ActionSampler steps(sampler, model->noise);
  DiffusionPolicy policy(model, backend, sampler, full_schedule(model->hparams, steps));
  const BranchShape shape = policy.schedule().shape();
  const int32_t n_values = model->hparams.n_rows() * model->hparams.n_embd;
  BranchRecording recording(shape, n_values);
  BranchSimilarity similarity(shape, n_values, metrics);
  for (size_t i = 0; i < observations.size(); ++i) {
    recording.record(policy, {.obs = observations[i], .seed = seeds[i]});
    run_on_pool(backend, [&](int32_t i_thread, int32_t n_threads) {
      for (int32_t b = i_thread; b < shape.n_branches(); b += n_threads) {
        similarity.add(b, recording.steps_of(b));
      }
    });
    if (events.on_call) events.on_call(static_cast<int32_t>(i) + 1);
  }
  return {.record = {.subject = calibration_subject(*model, steps),
                     .n_calls = static_cast<int32_t>(observations.size()),
                     .seeds = {seeds.begin(), seeds.end()},
                     .calibration = similarity.mean()},
          .n_zeroed = similarity.n_zeroed(),
          .n_obs_outside = policy.counts().n_obs_outside};
}

}  // namespace reprise
