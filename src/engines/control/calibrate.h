#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engines/control/calibration_file.h"
#include "engines/control/diffusion_policy.h"

namespace reprise {

// What a calibration of this model and sampler is bound to.
CalibrationSubject calibration_subject(const PolicyTransformerModel& model,
                                       const ActionSampler& sampler);

struct CalibrateEvents {
  std::function<void(int32_t n_done)> on_call = {};  // so many calls are measured
};

struct MeasuredCalibration {
  CalibrationRecord record;
  int64_t n_zeroed = 0;       // outputs without a norm or not finite, which counted as zeros
  int64_t n_obs_outside = 0;  // as ControlCounts has it
};

// Measures how alike the outputs of every branch are at every two steps: one uncached call an
// observation [To][Do], in the robot's units, with the noise of the seed at its place. All outputs
// of a call are held at a time (20 MB for 24 branches of 16 x 128 values and 100 steps). Throws
// Error without observations, with another number of seeds, and as DiffusionPolicy.
MeasuredCalibration calibrate_branches(const std::shared_ptr<const PolicyTransformerModel>& model,
                                       const Backend& backend, const SamplerSpec& sampler,
                                       std::span<const std::vector<float>> observations,
                                       std::span<const uint64_t> seeds,
                                       std::span<const BranchMetric> metrics,
                                       const CalibrateEvents& events = {});

}  // namespace reprise
